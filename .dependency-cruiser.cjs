/** The architecture rules of docs/architecture.md, held by `npm run arch`. */
module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'domain-is-pure',
      comment: 'The domain imports only itself and node:crypto.',
      severity: 'error',
      from: { path: '^src/domain', pathNot: '[.]spec[.]ts$' },
      to: { pathNot: ['^src/domain', '^(node:)?crypto$'] },
    },
    {
      name: 'ports-know-only-domain-and-config',
      severity: 'error',
      from: { path: '^src/ports' },
      to: { path: '^src/(gateway|agent|metrics|autoscaler|cli|console|boot|main|lambda)' },
    },
    {
      name: 'features-do-not-know-each-other',
      comment: 'Gateway, agent, metrics and autoscaler meet in ports and domain only.',
      severity: 'error',
      from: { path: '^src/(gateway|agent|metrics|autoscaler)/' },
      to: { path: '^src/(gateway|agent|metrics|autoscaler|cli|boot)/', pathNot: '^src/$1/' },
    },
    {
      name: 'features-use-ports-not-adapters',
      comment:
        'A feature imports a port and its module; the adapters are chosen inside ports/<port>/<port>.module.ts.',
      severity: 'error',
      from: { path: '^src/(gateway|agent|metrics|autoscaler)/', pathNot: '[.]spec[.]ts$' },
      to: { path: '^src/ports/', pathNot: '[.](port|module)[.]ts$' },
    },
    {
      name: 'vendors-stay-in-their-adapter',
      comment: 'Nothing outside an adapter imports its vendor.',
      severity: 'error',
      from: { path: '^src', pathNot: '^src/ports' },
      to: {
        path: 'node_modules/(libsql|openai|undici|@supabase|ioredis|amqp|chromadb|@aws-sdk|linkedom|turndown|@mozilla|ipaddr|jose|unpdf)',
      },
    },
    {
      name: 'environment-is-read-in-config-only',
      severity: 'error',
      from: { path: '^src', pathNot: '^src/(config|boot|cli|main|lambda|ports)' },
      to: { path: '^(node:)?process$' },
    },
    {
      name: 'no-test-code-in-the-product',
      severity: 'error',
      from: { path: '^src', pathNot: '[.]spec[.]ts$' },
      to: { path: '^(test|bench)/' },
    },
    {
      name: 'infra-stands-alone',
      comment: 'The CDK app describes where the product runs; neither is made of the other.',
      severity: 'error',
      from: { path: '^infra/' },
      to: { path: '^(src|test|bench)/' },
    },
    {
      name: 'the-product-imports-no-infra',
      severity: 'error',
      from: { path: '^(src|bench)/' },
      to: { path: '^infra/' },
    },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'no-dev-dependency-in-the-product',
      severity: 'error',
      from: { path: '^src', pathNot: '[.]spec[.]ts$' },
      to: { dependencyTypes: ['npm-dev'], pathNot: '@types' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^infra/build' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.json', '.d.ts'],
    },
  },
};
