import { Stack, Validations } from 'aws-cdk-lib/core';
import { type IConstruct } from 'constructs';

/** Accepts one finding of cdk-nag on one construct, with the reason. docs/aws.md lists them; a test holds the two together. */
export function acknowledge(construct: IConstruct, id: string, reason: string): void {
  Validations.of(construct).acknowledge({ id, reason });
}

/** Accepts that a role's permission holds for a number of resources, named by an ARN with a wildcard. */
export function acknowledgeWildcard(role: IConstruct, arn: string, reason: string): void {
  acknowledge(role, `AwsSolutions-IAM5[Resource::${asCdkNagWrites(Stack.of(role).resolve(arn))}]`, reason);
}

/** What is known only when AWS deploys, such as the account, stands in angle brackets. */
function asCdkNagWrites(resolved: unknown): string {
  if (typeof resolved === 'string') return resolved;
  const { Ref: name, 'Fn::Join': join } = resolved as { Ref?: string; 'Fn::Join'?: [string, unknown[]] };
  return join === undefined ? `<${name}>` : join[1].map(asCdkNagWrites).join(join[0]);
}
