/**
 * The help of each command, which `npm run <command> -- --help` prints. A command without an entry does not
 * exist.
 */
export const helpOf = {
  start: `Starts the whole graph: PostgreSQL, the subgraphs and the gateway.

  npm start                     everything on free ports, the gateway on 4000
  npm start -- --port <port>    the gateway on another port (0: any free one); so does the variable PORT
  npm start -- --watch          build and start a subgraph again when its sources change, and compose again
  npm start -- --data <folder>  keep the data there instead of in .data
  npm start -- --reset          remove all data first
  npm start -- --help           this text

It installs and builds what is missing, and fills empty databases with the default catalogue. Ctrl-C stops everything.
DATABASE_URL_<NAME> puts a subgraph on a PostgreSQL of your own, and DATABASE_URL_EVENTS the event log. With
KAFKA_BROKERS, Kafka is the broker, and there is no event log.
`,
  test: `Runs the tests. It installs and builds what is missing.

  npm test                      all tests
  npm test -- <arguments>       passes the arguments to Jest, e.g. the path of a test file
  npm run test:unit             only the tests of pure functions
  npm run test:integration      only the tests that need no more than one PostgreSQL

npx jest --help lists the options of Jest.
`,
  'test:faults': `Runs the fault tests, and prints a table of the faults and their effects.

  npm run test:faults                     a short run, as with every change
  npm run test:faults -- --long           a long run, as before a release
  npm run test:faults -- <arguments>      passes the arguments to Jest

TEST_SEED repeats a run.
`,
  import: `Reads a source into the database of each subgraph that has an importer for it. A second run changes nothing.

  npm run import -- catalogue            the movies of npm start, and sample ratings
  npm run import -- movielens <folder>   a data set of MovieLens: movies and ratings
  npm run import -- imdb <folder>        the files of IMDb: movies and people
  npm run import -- ratings <file, or - for standard input> --scale <5 or 10> [--id-prefix <prefix>]
                                         rating events (JSON array, JSON lines or CSV; gzip or not)
                   --data <folder>       use the embedded databases in this folder instead of those in .data
`,
  movies: `Works on the database of the subgraph metadata.

  npm run movies -- twice                list the pairs of movies that may be one film, with the commands that join them
  npm run movies -- join <kept id> <other id>
                                         join the second movie into the first: its id, its external ids and its ratings
                                         lead to the first from then on
  npm run movies -- part <other id>      undo a join: the movie shows again, with its external ids and its ratings
                    --data <folder>      use the embedded databases in this folder instead of those in .data
`,
  ratings: `Works on the database of the subgraph rating.

  npm run ratings -- rebuild             recompute every aggregated rating from the ratings; repair and list those that
                                         had drifted
  npm run ratings -- rebuild --check     only list them; the exit code is 1 if there are any
  npm run ratings -- unknown             count the ratings of movies that are not known, and list the movies with most
  npm run ratings -- produce <file, or - for standard input> [--rate <ratings per second>]
                                         send external rating events (JSON array, JSON lines or CSV; gzip or not) to the
                                         topic ratings; after a kill, the next run continues where the first one stopped
  npm run ratings -- key <producer>      print the key with which an external producer signs its events, as base64url;
                                         its viewers are <producer>:<user>
                     --data <folder>     use the embedded databases in this folder instead of those in .data
`,
  events: `Shows and repairs the events of all subgraphs, each in its own database.

  npm run events -- lag                  the events that are still on their way: unpublished, not consumed yet, dead
                                         letters
  npm run events -- outbox [--limit <n>]
                                         the parked events, which the broker rejected for good, oldest first
  npm run events -- outbox resend <name>... | --all
                                         publish them again, once their topic accepts them
  npm run events -- dlq list [--code <code>] [--limit <n>]
                                         the number of open dead letters, and the newest of them
  npm run events -- dlq show <id>        one dead letter with all its content
  npm run events -- dlq replay <id>... | --code <code> | --all
                                         consume them again, with the settings of the last start of the subgraph
  npm run events -- dlq drop <id>...     close them without consuming them
  npm run events -- backfill             publish the current state of the tables to topics that are younger than them;
                                         each topic is filled once
                    --subgraph <name>    only this subgraph; needed with ids and names if several subgraphs have them
                    --data <folder>      use the embedded databases in this folder instead of those in .data
`,
  kafka: `Starts a real Apache Kafka of one node on this machine. It runs until Ctrl-C.

  npm run kafka                     on port 9092; the data is kept in .data/kafka
  npm run kafka -- --port <port>    on another port (0: any free one)
  npm run kafka -- --data <folder>  keep the data in <folder>/kafka
  npm run kafka -- --reset          remove its data first
  npm run kafka -- --help           this text

It needs Docker, or Java 17 or later and Maven, which downloads Kafka once (about 45 MB).
`,
  compose: `Composes the supergraph from the list of subgraphs, offline.

  npm run compose                       writes gateway/supergraph.graphql from supergraph.yaml, and prints what changes
                                        for clients
  npm run compose -- --check            writes nothing; fails if that file is stale, on errors, on a warning that
                                        supergraph.hints.yaml does not allow, on a change that breaks clients of
                                        gateway/published.graphql and that supergraph.changes.yaml does not accept,
                                        and on an invalid operation in examples/
  npm run compose -- --release          the same check; then updates gateway/published.graphql, the schema that clients
                                        rely on, and empties supergraph.changes.yaml
  npm run compose -- --watch            composes again after each change of the list or of a schema, until Ctrl-C;
                                        a running gateway loads the new file by itself
  npm run compose -- --config <file>    another list in rover's format; the supergraph goes to standard output
                     --output <file>    … or to this file; published.graphql is expected next to it, the YAML files
                                        and examples/ next to the list
`,
  plan: `Prints the query plan of each operation in a file, and the number of its fetches, offline.

  npm run plan -- <operation.graphql>   on gateway/supergraph.graphql
                  --supergraph <file>   on another supergraph

The operation is planned as it is written, within the gateway's budget.
`,
  operations: `Checks a manifest of trusted operations against a supergraph, offline.

  npm run operations -- check             prints each operation that gateway/supergraph.graphql would refuse, with its
                                          line in the manifest and the reasons, and each whose lists could return
                                          another number of items than on gateway/published.graphql
                        --manifest <file> the manifest, in the format of @apollo/generate-persisted-query-manifest;
                                          by default that of the variable OPERATIONS_MANIFEST
                        --supergraph <file>
                                          another supergraph, by default compared with gateway/supergraph.graphql
                        --against <file>  another schema or supergraph to compare with

A variable without a value counts as its default. The exit code is 1 if an operation would be refused.
`,
  bench: `Runs a benchmark and writes its section of docs/benchmarks.md.

  npm run bench [-- graph [seconds per turn]]     queries and mutations through the gateway
  npm run bench -- scale                          reads as the tables grow
  npm run bench -- import [number of ratings]     the import of ratings from a file
  npm run bench -- events [names]                 events through the outbox, the broker and the consumers
`,
  build: `Generates and builds what is stale, and checks the types of all sources.

  npm run build
`,
  generate: `Generates the Prisma clients and the types of resolvers and operations where they are stale.

  npm run generate
`,
};

/** The parts of the tests that have a command of their own share the help of `test`. */
helpOf['test:unit'] = helpOf.test;
helpOf['test:integration'] = helpOf.test;

/** What `npm run` alone cannot show: the commands, one line each. */
export const overview = `npm start                       the whole graph on this machine
npm test                        all tests; test:unit and test:integration are parts of them
npm run import -- <source>      read a source into the databases
npm run movies -- <word>        twice, join, part: movies of several sources that are one film
npm run ratings -- <word>       rebuild, produce, key: work on the ratings
npm run events -- <word>        lag, outbox, dlq, backfill: show and repair the events of all subgraphs
npm run kafka                   a real Apache Kafka on this machine
npm run compose                 supergraph.yaml -> gateway/supergraph.graphql
npm run plan -- <file>          the query plan of an operation
npm run operations -- check     a manifest of trusted operations against the supergraph
npm run build                   generate and build what is stale, and check the types
npm run generate                only generate
npm run bench                   run a benchmark
npm run test:faults             run the fault tests
npm run lint, npm run types     checks that run nothing

Each of the commands up to test:faults prints its help with: npm run <command> -- --help
start, import, movies, ratings and events keep their data in .data, or in the folder of --data <folder>.
`;
