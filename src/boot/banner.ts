import { chooseAdapter, portsOf } from '../config/adapter-choice.js';
import { systemClock } from '../config/system-clock.js';
import { DEVELOPMENT_USER, issueLocalToken } from '../ports/identity/local-secret.js';
import { type RunningRole } from './start-role.js';

const DAY_SECONDS = 86_400;

/** Says what started: role, address, which adapter serves which port, and on a development machine how to try it. */
export async function printBanner({ settings, url }: RunningRole): Promise<void> {
  const choices = portsOf(settings).map((port) => ({ port, ...chooseAdapter(port, settings) }));
  console.log(`\nEuglena · role ${settings.role} · ${url}`);
  console.log(`adapters: ${choices.map(({ port, adapter }) => `${port} = ${adapter}`).join(', ')}`);
  const fallback = choices.filter(({ embedded }) => embedded).map(({ port }) => port);
  if (fallback.length > 0) {
    console.log(`embedded: ${fallback.join(', ')} (data in ${settings.dataDir}; one host only)`);
  }
  if (settings.gateway.testMode) console.log('WARNING: GATEWAY_TEST_MODE is on: no quota is counted.');
  if (servesLocalTokens(settings)) await printFirstSteps(settings.dataDir, url);
  console.log('ready');
}

function servesLocalTokens(settings: RunningRole['settings']): boolean {
  const { production } = settings;
  return (
    portsOf(settings).includes('identity') && !production && chooseAdapter('identity', settings).embedded
  );
}

async function printFirstSteps(dataDir: string, url: string): Promise<void> {
  const token = await issueLocalToken({
    dataDir,
    subject: DEVELOPMENT_USER,
    ttlSeconds: DAY_SECONDS,
    clock: systemClock,
  });
  console.log(`console:  ${url}/        API docs: ${url}/docs`);
  console.log(`\nA token for development, good for a day:\n${token}\n`);
  console.log('Try it:');
  console.log(
    `curl -sS ${url}/tasks -H 'content-type: application/json' -H 'authorization: Bearer ${token}' \\\n` +
      `  -d '{"mandate": "How does Euglena decide how many agents to run?", "max_ticks": 12}'\n`,
  );
  console.log(`Then ask for its answer: npm run --silent euglena -- watch <correlation_id> --url ${url}\n`);
}
