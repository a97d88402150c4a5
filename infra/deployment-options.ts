import { z } from 'zod';
import { RefusedDeployment } from './refused-deployment.js';

/** The memory (MiB) that Fargate has for each number of CPU units (1,024 are one processor): least, most, step. */
const FARGATE_MEMORY: Readonly<Record<number, readonly [least: number, most: number, step: number]>> = {
  512: [1_024, 4_096, 1_024],
  1024: [2_048, 8_192, 1_024],
  2048: [4_096, 16_384, 1_024],
  4096: [8_192, 30_720, 1_024],
  8192: [16_384, 61_440, 4_096],
};

const whole = (least: number, most: number, fallback: number) =>
  z.coerce.number().int().min(least).max(most).default(fallback);
const list = z
  .string()
  .transform((text) => text.split(',').map((item) => item.trim()))
  .optional();
const yesOrNo = (fallback: boolean) =>
  z.union([z.boolean(), z.enum(['true', 'false']).transform((word) => word === 'true')]).default(fallback);
const tag = z.string().regex(/^[\w][\w.-]{0,127}$/, 'must be the tag of an image');

/** Every value that `-c name=value` takes. infra/README.md lists them; a test holds the two together. */
const options = z.object({
  account: z
    .string()
    .regex(/^\d{12}$/, 'must have 12 digits')
    .optional(),
  region: z
    .string()
    .regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'must be the name of a region')
    .default('us-east-2'),
  certificateArn: z
    .string()
    .regex(/^arn:aws[\w-]*:acm:\S+$/, 'must be the ARN of a certificate in ACM')
    .optional(),
  imageTag: tag.default('latest'),
  gatewayImageTag: tag.optional(),
  agentImageTag: tag.optional(),
  vpcId: z
    .string()
    .regex(/^vpc-\w+$/, 'must be the id of a VPC')
    .optional(),
  availabilityZones: list,
  publicSubnetIds: list,
  privateSubnetIds: list,
  natGateways: whole(1, 2, 1),
  gatewayTaskCpu: whole(2_048, 8_192, 2_048),
  gatewayTaskMemory: whole(8_192, 61_440, 8_192),
  agentTaskCpu: whole(512, 8_192, 512),
  agentTaskMemory: whole(1_024, 61_440, 1_024),
  minWorkers: whole(0, 1_000, 1),
  maxWorkers: whole(1, 1_000, 11),
  targetMessagesPerWorker: whole(1, 10_000, 1),
  dailyTickLimit: whole(1, 1_000_000, 256),
  corsAllowedOrigins: z.string().default(''),
  modelApiUrl: z.url().default('https://api.openai.com/v1'),
  modelName: z.string().default('gpt-4o-mini'),
  embeddingModel: z.string().default(''),
  searchProvider: z.enum(['tavily', 'brave', 'searxng']).optional(),
  searchApiUrl: z.url().optional(),
  logRetentionDays: whole(1, 3_653, 30),
  backlogAgeSeconds: whole(10, 86_400, 300),
  alarmEmail: z.email().optional(),
  deletionProtection: yesOrNo(true),
});

export const OPTION_NAMES = Object.keys(options.shape);
export type DeploymentOptions = Readonly<z.infer<typeof options>>;

/**
 * Reads the values of `-c name=value`, which `valueOf` gives by their names; an empty one counts as not given.
 * @throws RefusedDeployment with every problem at once, by the names of the values.
 */
export function readOptions(valueOf: (name: string) => unknown): DeploymentOptions {
  const given = OPTION_NAMES.map((name) => [name, valueOf(name)] as const);
  const parsed = options.safeParse(Object.fromEntries(given.filter(([, value]) => value !== '')));
  const problems = parsed.success
    ? crossCheck(parsed.data)
    : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  if (parsed.success && problems.length === 0) return parsed.data;
  throw new RefusedDeployment(
    `The context values are invalid:\n${problems.map((one) => `  - ${one}`).join('\n')}`,
  );
}

function crossCheck(given: DeploymentOptions): string[] {
  const problems: string[] = [];
  for (const task of ['gateway', 'agent'] as const) {
    const cpu = given[`${task}TaskCpu`];
    const memory = given[`${task}TaskMemory`];
    const [least, most, step] = FARGATE_MEMORY[cpu] ?? [0, 0, 1];
    if (most === 0) problems.push(`${task}TaskCpu: must be one of ${Object.keys(FARGATE_MEMORY).join(', ')}`);
    else if (memory < least || memory > most || memory % step !== 0) {
      problems.push(`${task}TaskMemory: with ${cpu} CPU units, from ${least} to ${most} in steps of ${step}`);
    }
  }
  if (given.minWorkers > given.maxWorkers) problems.push('minWorkers: must not be above maxWorkers');
  const network = [given.vpcId, given.availabilityZones, given.publicSubnetIds, given.privateSubnetIds];
  const missing = network.filter((value) => value === undefined).length;
  if (missing !== 0 && missing !== network.length) {
    problems.push('vpcId, availabilityZones, publicSubnetIds, privateSubnetIds: give all four, or none');
  }
  if (given.searchProvider === 'searxng' && given.searchApiUrl === undefined) {
    problems.push('searchApiUrl: needed by searchProvider=searxng');
  }
  return problems;
}
