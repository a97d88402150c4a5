import { expect, it } from '@jest/globals';
import { agentFolder, AgentHost } from '../../test/support/agent-host.js';
import { startModelServer } from '../../test/support/model-server.js';
import { startAwsServer } from '../../test/support/servers/aws-server.js';
import { EcsTaskProtection } from '../ports/task-protection/ecs-task-protection.js';

it('takes a task only once ECS protects it, and lets ECS know when it is idle', async () => {
  const [aws, folder] = [await startAwsServer(), agentFolder()];
  const asked = () => aws.calls.map(({ input }) => input['ProtectionEnabled']);
  const protectedAtCalls: unknown[] = [];
  const model = await startModelServer({
    script: () => {
      protectedAtCalls.push(asked().at(-1));
      return { action: 'EXIT', argument: 'done' };
    },
  });
  const host = new AgentHost(folder, model.url);
  const protection = new EcsTaskProtection(aws.agentUri('task-1'), host.clock);
  aws.disturb(() => ({ status: 200, name: 'DEPLOYMENT_BLOCKED' }));
  const worker = await host.startWorker({ protection });
  await host.submit('t1');
  await host.until('protection was asked for twice', () => asked().filter(Boolean).length >= 2, 500);
  expect(model.calls).toHaveLength(0);
  expect(await host.store.find('t1')).toMatchObject({ status: 'pending' });

  aws.disturb(null);
  expect(await host.ended('t1', 500)).toMatchObject({ status: 'completed' });
  expect(protectedAtCalls).toEqual([true]);
  await host.until('it is taken back', () => asked().at(-1) === false);
  await host.stop(worker);
  await host.close();
  await protection.close();
  await Promise.all([model.close(), aws.close()]);
  folder.remove();
});
