import { get } from 'node:http';
import process from 'node:process';

/**
 * The health check of the images: ends with 0 if the role in this container answers. `/health/live`, not
 * `/health/ready`: a platform replaces what is unhealthy, and no new container mends an engine that is down.
 *
 * Which role runs here it cannot know, since `--role` reaches the main process only. So without PORT it tries each role's.
 */
const ROLE_PORTS = ['8080', '8081', '8082', '8083'];
const TIMEOUT_MS = 2_500;
const EVERY_ADDRESS = ['', '0.0.0.0', '::'];

const setting = (name) => (process.env[name] ?? '').trim();
const ports = setting('PORT') === '' ? ROLE_PORTS : [setting('PORT')];
const host = EVERY_ADDRESS.includes(setting('HOST')) ? '127.0.0.1' : setting('HOST');

function answers(port) {
  return new Promise((resolve, reject) => {
    const request = get({ host, port, path: '/health/live', timeout: TIMEOUT_MS }, ({ statusCode }) =>
      statusCode === 200 ? resolve() : reject(new Error(`status ${statusCode}`)),
    );
    request.on('timeout', () => request.destroy(new Error('no answer in time')));
    request.on('error', reject);
  });
}

try {
  await Promise.any(ports.map(answers));
  process.exit(0);
} catch (error) {
  const reasons = error.errors.map(({ message }) => message).join('; ');
  process.stderr.write(`no role answers at ${host}, port ${ports.join(', ')}: ${reasons}\n`);
  process.exit(1);
}
