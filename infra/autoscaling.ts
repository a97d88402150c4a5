import { copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AssetHashType, DockerImage, Duration, RemovalPolicy } from 'aws-cdk-lib/core';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { type IRole } from 'aws-cdk-lib/aws-iam';
import { Architecture, Code, Function, LoggingFormat, Runtime } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import { type Construct } from 'constructs';
import { acknowledge } from './acknowledge.js';
import { type DeploymentOptions } from './deployment-options.js';
import { AGENT_SERVICE, CLUSTER, LAMBDA, QUEUE } from './names.js';
import { PROJECT_FOLDER } from './project-folder.js';
import { RefusedDeployment } from './refused-deployment.js';

const BUILT = fileURLToPath(new URL('dist', PROJECT_FOLDER));

/** The function that decides every two minutes how many agents run. */
export function autoscaling(scope: Construct, options: DeploymentOptions, role: IRole): Function {
  const logGroup = new LogGroup(scope, 'AutoscalingLog', {
    logGroupName: `/aws/lambda/${LAMBDA}`,
    retention: options.logRetentionDays as RetentionDays,
    removalPolicy: RemovalPolicy.RETAIN,
  });
  const autoscaler = new Function(scope, 'Autoscaling', {
    functionName: LAMBDA,
    description: 'Decides how many agents of Euglena run',
    runtime: Runtime.NODEJS_24_X,
    architecture: Architecture.ARM_64,
    code: bundle(),
    handler: 'lambda.handler',
    role,
    memorySize: 256,
    timeout: Duration.seconds(60),
    // A decision that failed is made anew two minutes later, from newer figures.
    retryAttempts: 0,
    maxEventAge: Duration.minutes(2),
    logGroup,
    loggingFormat: LoggingFormat.JSON,
    environment: {
      ECS_CLUSTER: CLUSTER,
      ECS_SERVICE: AGENT_SERVICE,
      QUEUE_NAME: QUEUE,
      TARGET_MESSAGES_PER_WORKER: String(options.targetMessagesPerWorker),
      MIN_WORKERS: String(options.minWorkers),
      MAX_WORKERS: String(options.maxWorkers),
    },
  });
  acknowledge(autoscaler, 'AwsSolutions-L1', 'Node.js 24 is the runtime that the images have too.');
  new Rule(scope, 'AutoscalingRule', {
    description: 'Has the number of agents decided',
    schedule: Schedule.rate(Duration.minutes(2)),
    targets: [new LambdaFunction(autoscaler, { retryAttempts: 0, maxEventAge: Duration.minutes(2) })],
  });
  return autoscaler;
}

/** `dist/lambda.js` alone, with the word that it is an ES module, which Lambda takes from the package.json beside it. */
function bundle(): Code {
  const source = join(BUILT, 'lambda.js');
  if (!existsSync(source)) {
    throw new RefusedDeployment(
      'dist/lambda.js is missing: build it with "npm run build" before you synthesize.',
    );
  }
  return Code.fromAsset(BUILT, {
    assetHashType: AssetHashType.OUTPUT,
    bundling: {
      // Never asked for: the local way below always succeeds or throws.
      image: DockerImage.fromRegistry('none'),
      local: {
        tryBundle(output) {
          copyFileSync(source, join(output, 'lambda.js'));
          writeFileSync(join(output, 'package.json'), '{ "type": "module" }\n');
          return true;
        },
      },
    },
  });
}
