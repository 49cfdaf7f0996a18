import { checkedContext, readPem } from '@cinegraph/service/http/tls';
import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
import { watchFiles } from '@cinegraph/service/watch-files';
import { buildConnector } from 'undici';

/** The PEM files with which the gateway speaks to subgraphs over https. */
export interface SubgraphTlsFiles {
  /** The only CAs that are trusted; those of Node if it is undefined. */
  readonly caPath: string | undefined;
  /** The certificate and the key that a subgraph may require; both or none. */
  readonly clientCertPath: string | undefined;
  readonly clientKeyPath: string | undefined;
}

/** Opens connections to subgraphs. */
export type Connect = buildConnector.connector;

const connectTimeoutMs = 5_000;

/**
 * Reads the certificates, and returns what opens connections with them. Throws a StartError if they cannot be
 * used. While the part runs, new content of the files is used for new connections; content that cannot be
 * used is refused with the reason in the log. The certificate of a subgraph is always verified.
 */
export const createConnect = (
  files: SubgraphTlsFiles,
  logger: Logger,
): { readonly connect: Connect; readonly part: Part } => {
  const { caPath, clientCertPath, clientKeyPath } = files;
  const { paths, texts } = readPem({
    SUBGRAPH_CLIENT_CERT_PATH: clientCertPath,
    SUBGRAPH_CLIENT_KEY_PATH: clientKeyPath,
    SUBGRAPH_CA_PATH: caPath,
  });
  const connectorWith = (read: readonly string[]): Connect => {
    const [cert, key, ca] = clientCertPath === undefined ? [undefined, undefined, ...read] : read;
    const context = checkedContext(
      { cert, key, ca },
      'SUBGRAPH_CA_PATH, SUBGRAPH_CLIENT_CERT_PATH, SUBGRAPH_CLIENT_KEY_PATH',
    );
    return buildConnector({ ...context, timeout: connectTimeoutMs });
  };
  let connector = connectorWith(texts);
  const watch = watchFiles({
    paths,
    what: 'certificate for subgraphs',
    onChange: async (changed) => {
      try {
        connector = connectorWith(changed);
        logger.info({ paths }, 'new certificates are used for new connections to subgraphs');
      } catch (error) {
        logger.error({ err: error, paths }, 'the new certificates are refused; the last ones are still used');
      }
    },
    logger,
  });
  return {
    connect: (options, callback) => connector(options, callback),
    part: {
      name: 'certificates for subgraphs',
      start: async () => {
        // The first poll compares the files with what was read above.
        if (paths.length > 0) watch.start({ version: '', texts });
      },
      stop: watch.stop,
    },
  };
};
