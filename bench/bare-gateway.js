/**
 * The gateway with one more route, `POST /bare`: the same submission without identity, without validation and, with
 * GATEWAY_TEST_MODE, without quota. For a benchmark only. Prints its address.
 */
import process from 'node:process';
import 'reflect-metadata';
import { createHttpApp } from '../dist/boot/http-server.js';
import { PinoLogger } from '../dist/boot/pino-logger.js';
import { rootModule } from '../dist/boot/role-graph.js';
import { loadEnvironment } from '../dist/config/environment.js';
import { readSettings } from '../dist/config/settings.js';
import { systemClock } from '../dist/config/system-clock.js';
import { taskToApi } from '../dist/domain/task.js';
import { SubmissionService } from '../dist/gateway/submission.service.js';

const settings = readSettings({ ...loadEnvironment([]), EUGLENA_ROLE: 'gateway' });
const app = await createHttpApp(rootModule(settings, systemClock), settings, new PinoLogger(settings));
const submissions = app.get(SubmissionService, { strict: false });
app
  .getHttpAdapter()
  .getInstance()
  .post('/bare', async ({ body, headers }, reply) => {
    const task = await submissions.submit({
      owner: headers['x-user'],
      mandate: body.mandate,
      maxTicks: body.max_ticks,
    });
    return reply.status(202).send(taskToApi(task));
  });
await app.listen(0, '127.0.0.1');
process.stdout.write(`http://127.0.0.1:${app.getHttpServer().address().port}\n`);
process.once('SIGTERM', () => void app.close().then(() => process.exit(0)));
