import { integrationTests, systemTests } from './tests/support/tiers.mjs';

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

const withPostgres = {
  ...common,
  globalSetup: '<rootDir>/packages/testing/dist/global-setup.js',
  globalTeardown: '<rootDir>/packages/testing/dist/global-teardown.js',
};

/** One run from the root, in three tiers: tests/support/tiers.mjs says what each may use. */
export default {
  // The machine may be slow and shared; no test measures time.
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
    { ...withPostgres, displayName: 'integration', testMatch: integrationTests },
    { ...withPostgres, displayName: 'system', testMatch: systemTests },
  ],
};
