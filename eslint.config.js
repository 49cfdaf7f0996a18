import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

// The one file of each process that may read process.env; everything else gets the typed result of readEnv.
const readsEnvironment = [
  'packages/cli/src/graph.ts',
  'packages/cli/src/{compose/command,kafka,operations,plan}.ts',
  'packages/service/src/telemetry/start.ts',
  'packages/subgraph/src/{run-subgraph,jobs/run-job}.ts',
  'gateway/src/main.ts',
];

const noEnvironment = [
  'MemberExpression[object.name="process"][property.name="env"]',
  'VariableDeclarator[init.name="process"] > ObjectPattern > Property[key.name="env"]',
  'ImportDeclaration[source.value=/^(node:)?process$/]',
].map((selector) => ({
  selector,
  message:
    'The environment is read in one place of each process, through readEnv: take the value as a parameter.',
}));

const noDefaultExport = {
  selector: 'ExportDefaultDeclaration, ExportSpecifier[exported.name="default"]',
  message: 'Export by name, so that a thing is called the same everywhere.',
};

export default defineConfig(
  { ignores: ['**/dist/', '**/generated/', '**/coverage/', '**/.data/', '**/.turbo/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      // One program over sources and tests; packages build with their own tsconfig.
      parserOptions: { project: './tsconfig.tests.json', tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      // A function whose type says Promise may be async without waiting for anything.
      '@typescript-eslint/require-await': 'off',
      // An index signature is read with brackets: noPropertyAccessFromIndexSignature.
      '@typescript-eslint/dot-notation': 'off',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': 'error',
      // Our objects are closures, whose functions need no `this`.
      '@typescript-eslint/unbound-method': 'off',
      // graphql-js has enums whose values are the words of the specification.
      '@typescript-eslint/no-unsafe-enum-comparison': 'off',
      // A failure that was kept while things were put in order is thrown again as it was caught: unknown.
      '@typescript-eslint/only-throw-error': 'off',
      'no-restricted-syntax': ['error', noDefaultExport, ...noEnvironment],
    },
  },
  {
    files: readsEnvironment,
    rules: { 'no-restricted-syntax': ['error', noDefaultExport] },
  },
  {
    // Prisma's command line reads the default export.
    files: ['prisma/*/prisma.config.ts'],
    rules: { 'no-restricted-syntax': 'off' },
  },
  {
    files: ['**/*.test.ts', '**/testing/**', '**/test/**', 'tests/**'],
    rules: {
      // Jest wants its set-up as a default export, and a test is where its own process's environment is read.
      'no-restricted-syntax': 'off',
      // Answers of servers under test are compared as they are.
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    // Plain JavaScript is what runs before anything is installed or built, and what tools want it for.
    files: ['**/*.{js,mjs,cjs}'],
    languageOptions: {
      globals: Object.fromEntries(
        [...Object.getOwnPropertyNames(globalThis), 'module', 'require'].map((name) => [name, 'readonly']),
      ),
    },
  },
);
