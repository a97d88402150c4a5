import { join } from 'node:path';
import process from 'node:process';
import { build } from 'esbuild';

/**
 * The AWS Lambda function as one file: `dist/lambda.js`, or with a folder as the argument `<folder>/lambda.mjs`, whose name
 * tells Lambda that it is an ES module. The handler is `lambda.handler` either way.
 */
const root = join(import.meta.dirname, '..');
const [folder] = process.argv.slice(2);
await build({
  entryPoints: [join(root, 'src/lambda.ts')],
  outfile: folder === undefined ? join(root, 'dist/lambda.js') : join(folder, 'lambda.mjs'),
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  // The AWS clients are CommonJS and ask for Node's own modules by `require`.
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
  minify: true,
  keepNames: true,
  legalComments: 'none',
  logLevel: 'warning',
});
