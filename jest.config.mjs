const common = {
  testEnvironment: 'node',
  testEnvironmentOptions: { customExportConditions: ['cinegraph-source', 'node', 'node-addons'] },
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2023' }, module: { type: 'es6' } }],
  },
  modulePathIgnorePatterns: ['/dist/', '/.data/'],
  testPathIgnorePatterns: ['/node_modules/', '/dist/'],
};

/** One run from the root: `unit` needs nothing, `integration` gets a real PostgreSQL from its global set-up. */
export default {
  // The machine may be slow and shared; nothing here measures time.
  testTimeout: 60_000,
  // Two at a time on two cores: much of a test is waiting for processes.
  maxWorkers: '100%',
  testSequencer: '<rootDir>/tests/support/longest-first.mjs',
  projects: [
    {
      ...common,
      displayName: 'unit',
      testMatch: ['<rootDir>/{packages,subgraphs}/*/src/**/*.test.ts', '<rootDir>/gateway/src/**/*.test.ts'],
    },
    {
      ...common,
      displayName: 'integration',
      testMatch: [
        '<rootDir>/{packages,subgraphs}/*/test/**/*.test.ts',
        '<rootDir>/gateway/test/**/*.test.ts',
        '<rootDir>/tests/**/*.test.ts',
      ],
      globalSetup: '<rootDir>/packages/testing/dist/global-setup.js',
      globalTeardown: '<rootDir>/packages/testing/dist/global-teardown.js',
    },
  ],
};
