import { type App, CfnOutput, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib/core';
import { Repository } from 'aws-cdk-lib/aws-ecr';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { acknowledge } from './acknowledge.js';
import { REPOSITORIES, SECRET, SECRET_KEYS } from './names.js';

/** Older images than this many are removed: enough to go back to. */
const KEPT_IMAGES = 30;

/** What must be there, and filled by hand, before anything can run: the image repositories and the secret. */
export class FoundationStack extends Stack {
  readonly repositories: { readonly gateway: Repository; readonly agent: Repository };
  readonly secret: Secret;

  constructor(app: App, id: string, props: StackProps) {
    super(app, id, props);
    this.repositories = {
      gateway: this.repository('GatewayRepository', REPOSITORIES.gateway),
      agent: this.repository('AgentRepository', REPOSITORIES.agent),
    };
    this.secret = this.emptySecret();
  }

  private repository(id: string, repositoryName: string): Repository {
    const repository = new Repository(this, id, {
      repositoryName,
      imageScanOnPush: true,
      lifecycleRules: [{ maxImageCount: KEPT_IMAGES }],
      removalPolicy: RemovalPolicy.RETAIN,
    });
    new CfnOutput(this, `${id}Uri`, { value: repository.repositoryUri });
    return repository;
  }

  /** All keys with empty values, for the operator to fill, but for the Erlang cookie: nobody has to know that one. */
  private emptySecret(): Secret {
    const keys = [...SECRET_KEYS.gateway, ...SECRET_KEYS.agent];
    const values = Object.fromEntries(keys.map((key) => [key, '']));
    const [generateStringKey] = SECRET_KEYS.rabbitmq;
    const secret = new Secret(this, 'Secret', {
      secretName: SECRET,
      description: 'The keys that Euglena needs from others. docs/aws.md says which container gets which.',
      generateSecretString: {
        secretStringTemplate: JSON.stringify({ ...values, SUPABASE_ALLOW_UNCONFIRMED: 'false' }),
        generateStringKey,
        excludePunctuation: true,
        passwordLength: 40,
      },
      removalPolicy: RemovalPolicy.RETAIN,
    });
    acknowledge(
      secret,
      'AwsSolutions-SMG4',
      'The keys are issued by OpenAI, a search service and Supabase; AWS cannot make new ones there.',
    );
    new CfnOutput(this, 'SecretArn', { value: secret.secretArn });
    return secret;
  }
}
