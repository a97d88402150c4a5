import { createRequire } from 'node:module';
import process from 'node:process';
import { App, Tags, Validations } from 'aws-cdk-lib/core';
import { AwsSolutionsChecks } from 'cdk-nag';
import { readOptions } from './deployment-options.js';
import { EuglenaStack } from './euglena-stack.js';
import { FoundationStack } from './foundation-stack.js';
import { RefusedDeployment } from './refused-deployment.js';

/** The behaviour that the pinned version of the CDK recommends for new projects. */
const recommended = createRequire(import.meta.url)('aws-cdk-lib/recommended-feature-flags.json') as object;

function synthesize(): void {
  const app = new App({
    // With strong references AWS refuses to take from the foundation what the other stack still uses.
    context: { ...recommended, '@aws-cdk/core:defaultCrossStackReferences': 'strong' },
  });
  const options = readOptions((name) => app.node.tryGetContext(name) as unknown);
  const { account, region } = options;
  const env = account === undefined ? { region } : { account, region };
  const foundation = new FoundationStack(app, 'EuglenaFoundation', { env });
  new EuglenaStack(app, 'Euglena', { env, options, foundation });
  Tags.of(app).add('Project', 'euglena');
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  app.synth();
}

try {
  synthesize();
} catch (error) {
  if (!(error instanceof RefusedDeployment)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
