// Who may import whom. Each rule's comment says what to do instead; `npm run lint` prints it.
//
//   tests, testing --> everything
//   gateway --> service          local --> service          cli --> service, local
//   subgraphs/x --> events --> messaging/envelope
//   subgraphs/x --> subgraph --> messaging --> database --> service

const tests = '(/test/|\\.test\\.ts$|^packages/testing/)';
const prisma = '(/src/generated/prisma/|(^|/)node_modules/(@prisma/|pg/|@types/pg/))';

/** Files of a subgraph by what they are; `$1` in a rule's target is the subgraph that its source matched. */
const source = '^subgraphs/([^/]+)/src/';
const own = '^subgraphs/$1/src/';
const wiring = '(main|subgraph)\\.ts$';
const rules = 'rules(/|\\.ts$)';

const error = (name, comment, from, to) => ({ name, severity: 'error', comment, from, to });

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...Object.entries({
      service: [[], 'it is what every process is: hand it what it needs as a parameter'],
      database: [['service'], 'it knows one pool and its errors, no event and no GraphQL'],
      messaging: [
        ['service', 'database'],
        'events are carried without GraphQL and without a word of a domain',
      ],
      subgraph: [['service', 'database', 'messaging'], 'it is the same for every subgraph'],
      local: [['service'], 'it starts servers for development and is in no image'],
      cli: [['service', 'local'], 'the command line starts the others as processes and imports none of them'],
    }).map(([name, [may, why]]) =>
      error(
        `${name}-imports-only-its-layer`,
        `packages/${name} may import ${may.length === 0 ? 'nothing of ours' : `only ${may.join(', ')}`}: ${why}.`,
        { path: `^packages/${name}/`, pathNot: tests },
        { path: `^(packages/(?!(${[name, ...may].join('|')})/)|gateway/|subgraphs/|tests/)` },
      ),
    ),
    error(
      'events-imports-only-the-envelope',
      'packages/events holds contracts only: it may use the envelope of messaging and nothing else of ours, nor a broker.',
      { path: '^packages/events/' },
      {
        path: '^(packages/(?!messaging/src/envelope|events/)|gateway/|subgraphs/|tests/)|node_modules/kafkajs/',
      },
    ),
    error(
      'subgraph-never-imports-another',
      'Subgraphs meet in supergraph.graphql, on the wire and in packages/events: publish an event or contribute a field.',
      { path: '^subgraphs/([^/]+)/' },
      { path: '^subgraphs/', pathNot: '^subgraphs/$1/' },
    ),
    error(
      'subgraph-imports-only-its-layers',
      'A subgraph knows neither the gateway nor the command line nor local servers: only events, subgraph and what that is built on.',
      { path: '^subgraphs/', pathNot: tests },
      { path: '^(gateway/|tests/|packages/(cli|local|testing)/)' },
    ),
    error(
      'gateway-imports-only-service',
      'The gateway serves any supergraph, so it knows none of our subgraphs or events: give it a supergraph file.',
      { path: '^gateway/', pathNot: tests },
      { path: '^(subgraphs/|tests/|packages/(?!service/))' },
    ),
    error(
      'examples-know-only-the-wire',
      'An example is what someone outside could write: it speaks GraphQL over HTTP and imports nothing of ours.',
      { path: '^examples/' },
      { path: '^(packages/|gateway/|subgraphs/|tests/)' },
    ),
    error(
      'only-messaging-touches-kafka',
      'Publish and subscribe through the broker of packages/messaging; no one else knows which broker there is.',
      { pathNot: `^packages/(messaging|local)/|${tests}|^tests/` },
      { path: 'node_modules/kafkajs/' },
    ),
    error(
      'no-cycles',
      'Files that need each other are one file, or their common part is a third.',
      { pathNot: '/src/generated/' },
      { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    ),

    // Within a subgraph: main -> resolvers -> loaders -> queries, resolvers -> commands -> rules,
    // consumers -> commands or rules, import -> commands. Steps may be left out, never gone backwards.
    error(
      'nobody-imports-main',
      'main.ts and subgraph.ts put the parts together; what they use must not know them: pass it as a parameter.',
      { path: source, pathNot: `${source}${wiring}|${tests}` },
      { path: `${own}${wiring}` },
    ),
    error(
      'resolvers-are-the-edge',
      'Only subgraph.ts uses resolvers; share through loaders, queries or commands, which know no GraphQL field.',
      { path: source, pathNot: `${source}(resolvers/|${wiring})|${tests}` },
      { path: `${own}resolvers/` },
    ),
    error(
      'loaders-are-for-resolvers',
      'A loader batches the reads of one tick for resolvers; queries, commands, consumers and importers call queries.',
      { path: `${source}(queries|commands|consumers|import|${rules})`, pathNot: tests },
      { path: `${own}loaders` },
    ),
    error(
      'queries-only-read',
      'A query reads; whoever also writes is a command.',
      { path: `${source}queries`, pathNot: tests },
      { path: `${own}(commands|consumers/|import/)` },
    ),
    error(
      'loaders-only-read',
      'A loader hands keys to one query; writes are commands, called by resolvers.',
      { path: `${source}loaders`, pathNot: tests },
      { path: `${own}(commands|consumers/|import/)` },
    ),
    error(
      'writes-come-from-outside',
      'Consumers and importers call commands, never the other way round.',
      { path: `${source}(commands|resolvers/|${rules})`, pathNot: tests },
      { path: `${own}(consumers/|import/)` },
    ),
    error(
      'consumers-and-importers-know-no-resolver',
      'A consumer calls commands or rules, an importer calls commands: neither goes through GraphQL.',
      { path: `${source}(consumers|import)/`, pathNot: tests },
      { path: `${own}(resolvers/|context\\.ts$)` },
    ),
    error(
      'rules-are-pure',
      'A rule gets state, command and now, and answers events or a refusal: it imports event types, models and refusals, nothing that reads or writes.',
      { path: `${source}${rules}`, pathNot: tests },
      {
        pathNot: `${own}(models|codes|${rules})|^packages/(events/src/|service/src/refusal\\.ts$)`,
      },
    ),
    error(
      'only-data-code-touches-prisma',
      'Only queries, commands, sql, consumers, importers, context and what puts the subgraph together touch Prisma or pg: move the statement to queries or commands.',
      {
        path: source,
        pathNot: [
          `${source}(main|subgraph|context)\\.ts$`,
          `${source}(queries|commands|sql|consumers|import|command-line|generated)(/|\\.ts$)`,
          tests,
        ],
      },
      { path: prisma, dependencyTypesNot: ['type-only'] },
    ),
    error(
      'resolvers-know-no-store',
      'A resolver gets its data from a loader, a query or a command, and not even the types of the store.',
      { path: `${source}resolvers/`, pathNot: tests },
      { path: prisma },
    ),

    error(
      'product-code-knows-no-tests',
      'What both need belongs into the product; fixtures and test servers stay with the tests.',
      { pathNot: `${tests}|^tests/|^packages/testing/` },
      { path: '(^tests/|/test/|\\.test\\.ts$|/testing/)', pathNot: 'node_modules/' },
    ),
    error(
      'no-development-dependency-at-run-time',
      'The image of a service has no development dependencies: add the package to "dependencies" of this workspace.',
      { path: '^(packages|gateway|subgraphs|examples)/.*/?src/', pathNot: tests },
      {
        dependencyTypes: ['npm-dev'],
        dependencyTypesNot: ['type-only', 'npm'],
        pathNot: 'node_modules/@types/',
      },
    ),
    error(
      'only-what-exists-and-is-declared',
      'Correct the path, or add the package to package.json of this workspace.',
      { path: '^(packages|gateway|subgraphs|examples|tests)/' },
      { dependencyTypes: ['unknown', 'undetermined', 'npm-no-pkg', 'npm-unknown'] },
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules/' },
    // The rivals of the benchmark have a manifest and a lock file of their own.
    exclude: { path: '/dist/|^tests/bench/gateway/rivals/' },
    tsPreCompilationDeps: true,
    combinedDependencies: true,
    tsConfig: { fileName: 'tsconfig.tests.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['cinegraph-source', 'types', 'import', 'node', 'default'],
      mainFields: ['main', 'types'],
    },
    builtInModules: { add: [] },
  },
};
