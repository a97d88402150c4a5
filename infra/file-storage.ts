import { RemovalPolicy } from 'aws-cdk-lib/core';
import { type IVpc } from 'aws-cdk-lib/aws-ec2';
import { type AccessPoint, FileSystem, ThroughputMode } from 'aws-cdk-lib/aws-efs';
import { AnyPrincipal, Effect, PolicyDocument, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { type Construct } from 'constructs';
import { type SecurityGroups } from './network.js';

export type Engine = 'redis' | 'rabbitmq' | 'chroma';
/** The users whom the engines' images run as. Whatever is written through an access point belongs to its user. */
const OWNERS: Readonly<Record<Engine, string>> = { redis: '999', rabbitmq: '999', chroma: '1000' };

export interface FileStorage {
  readonly fileSystem: FileSystem;
  readonly accessPoints: Readonly<Record<Engine, AccessPoint>>;
}

/** The file system on which the engines' data outlive their task, with one folder for each. */
export function fileStorage(scope: Construct, vpc: IVpc, groups: SecurityGroups): FileStorage {
  const fileSystem = new FileSystem(scope, 'Files', {
    vpc,
    securityGroup: groups.files,
    encrypted: true,
    enableAutomaticBackups: true,
    throughputMode: ThroughputMode.ELASTIC,
    removalPolicy: RemovalPolicy.RETAIN,
    // With a policy of its own, whoever has no permission in IAM is refused; without, whoever reaches it may write.
    allowAnonymousAccess: true,
    fileSystemPolicy: new PolicyDocument({
      statements: [
        new PolicyStatement({
          effect: Effect.DENY,
          principals: [new AnyPrincipal()],
          actions: ['elasticfilesystem:ClientMount', 'elasticfilesystem:ClientWrite'],
          conditions: { Bool: { 'aws:SecureTransport': 'false' } },
        }),
      ],
    }),
  });
  const folder = (engine: Engine) => {
    const owner = OWNERS[engine];
    return fileSystem.addAccessPoint(`${engine}Files`, {
      path: `/${engine}`,
      createAcl: { ownerUid: owner, ownerGid: owner, permissions: '700' },
      posixUser: { uid: owner, gid: owner },
    });
  };
  return {
    fileSystem,
    accessPoints: { redis: folder('redis'), rabbitmq: folder('rabbitmq'), chroma: folder('chroma') },
  };
}
