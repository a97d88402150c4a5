import { LIFETIME_MAX_SECONDS, isUserId } from '../ports/identity/access-token.js';
import { DEVELOPMENT_USER } from '../ports/identity/local-secret.js';
import { developmentToken, localSettings } from './access.js';
import { type Command, parse, UsageError, wholeNumber } from './command.js';

export const token: Command = {
  usage: '[--sub uuid] [--ttl seconds=86400]',
  summary: 'Print an access token for development',
  async run(args, { stdout, env }) {
    const { flags } = parse(args, {
      sub: { type: 'string', default: DEVELOPMENT_USER },
      ttl: { type: 'string', default: '86400' },
    });
    if (!isUserId(flags.sub)) throw new UsageError('--sub must be a uuid');
    const ttlSeconds = wholeNumber(flags.ttl, '--ttl', 1, LIFETIME_MAX_SECONDS);
    stdout.write(`${await developmentToken(localSettings(env), { subject: flags.sub, ttlSeconds })}\n`);
    return 0;
  },
};
