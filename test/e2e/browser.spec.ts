import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type Browser, type Page } from 'playwright-core';
import { systemClock } from '../../src/config/system-clock.js';
import { issueLocalToken } from '../../src/ports/identity/local-secret.js';
import { startChromium } from '../support/chromium.js';
import { ALICE, openStage, type Stage, thinker } from '../support/stage.js';

const STARTING_MS = 120_000;
const MANDATE = 'Which ports does Euglena have?';

let browser: Browser;
let stage: Stage;
let page: Page;
let url: string;
let token: string;
let complaints: string[];

beforeAll(async () => {
  browser = await startChromium();
  stage = await openStage(thinker(2));
  ({ url } = await stage.start('all'));
  token = await issueLocalToken({
    dataDir: stage.dataDir,
    subject: ALICE,
    ttlSeconds: 3_600,
    clock: systemClock,
  });
}, STARTING_MS);
afterAll(async () => {
  await stage.close();
  await browser.close();
});
beforeEach(async () => {
  page = await browser.newPage({ viewport: { width: 1_280, height: 1_000 } });
  page.setDefaultTimeout(15_000);
  complaints = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
});
afterEach(() => page.close());

/** Pictures for the documentation: `EUGLENA_PICTURES` names their folder. */
async function picture(name: string): Promise<void> {
  const folder = process.env['EUGLENA_PICTURES'];
  if (folder !== undefined) await page.screenshot({ path: join(folder, name) });
}

describe('Swagger UI', () => {
  const operation = (id: string) => page.locator(`[id="operations-tasks-${id}"]`);
  const authorize = async () => {
    await page.locator('.auth-wrapper .btn.authorize').first().click();
    await page.locator('.auth-container input').fill(token);
    await page.locator('.auth-btn-wrapper .btn.authorize').click();
  };
  const open = async (id: string) => {
    await operation(id).locator('.opblock-summary-control').click();
    await operation(id).getByRole('button', { name: 'Try it out' }).click();
  };
  const execute = async (id: string, status: string) => {
    await operation(id).getByRole('button', { name: 'Execute' }).click();
    const answer = operation(id).locator('.live-responses-table .response').first();
    await answer.waitFor();
    expect(await answer.locator('.response-col_status').innerText()).toContain(status);
    return JSON.parse(await answer.locator('.highlight-code code').innerText()) as Record<string, unknown>;
  };

  it('authorizes at the first try, hands a task in, and shows its result', async () => {
    await page.goto(`${url}/docs`);
    await authorize();
    await page.locator('.auth-btn-wrapper .btn-done').click();

    await open('submitTask');
    await operation('submitTask')
      .locator('textarea')
      .fill(JSON.stringify({ mandate: MANDATE, max_ticks: 5 }));
    const submitted = await execute('submitTask', '202');
    expect(submitted).toMatchObject({ status: 'in_queue', mandate: MANDATE });
    const id = String(submitted['correlation_id']);
    // The stream ends with the task.
    const events = await fetch(`${url}/tasks/${id}/events`, {
      headers: { authorization: `Bearer ${token}` },
    });
    await events.text();

    await operation('submitTask').locator('.opblock-summary-control').click();
    await open('getTask');
    await operation('getTask').locator('input[placeholder="id"]').fill(id);
    const read = await execute('getTask', '200');
    expect(read).toMatchObject({ status: 'completed', result: { answer: `answer to ${MANDATE}` } });
    await operation('getTask').locator('.live-responses-table').scrollIntoViewIfNeeded();
    await picture('swagger-ui.png');
    expect(complaints).toEqual([]);
  });

  it('keeps the authorization over a reload', async () => {
    await page.goto(`${url}/docs`);
    await authorize();
    await page.reload();
    await page.locator('.auth-wrapper .btn.authorize.locked').first().waitFor();
    await open('listTasks');
    expect(await execute('listTasks', '200')).toHaveProperty('tasks');
  });
});

describe('the console', () => {
  it('takes a token and a mandate, and shows the ticks, the answer and the task in the list', async () => {
    await page.goto(url);
    await page.locator('#token').fill(token);
    await page.locator('#mandate').fill('What is a tick?');
    await page.locator('#submit').click();
    await page.getByText('answer to What is a tick?').first().waitFor();
    await page.locator('#events li').nth(3).waitFor();
    await page.locator('#tasks').getByText('What is a tick?').first().waitFor();
    await page.locator('#unsupported li').getByText('answer to What is a tick?').waitFor();
    expect(await page.locator('#data-heading').isVisible()).toBe(false);
    await picture('console.png');
    expect(complaints).toEqual([]);
  });

  it('shows the data of a result, or why there is none', async () => {
    const outputSchema = { type: 'object', properties: { ports: { type: 'integer' } }, required: ['ports'] };
    const submitted = await fetch(`${url}/tasks`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ mandate: 'Count the ports.', max_ticks: 5, output_schema: outputSchema }),
    });
    expect(submitted.status).toBe(202);
    await page.goto(url);
    await page.locator('#token').fill(token);
    await page.locator('#token').blur();
    await page.locator('#tasks').getByText('Count the ports.').first().click();
    await page
      .locator('#data')
      .getByText(/required|there is no data/i)
      .waitFor();
    expect(complaints).toEqual([]);
  });

  it('says what is wrong with a token that is none', async () => {
    await page.goto(url);
    await page.locator('#token').fill('nonsense');
    await page.locator('#mandate').fill('What is a tick?');
    await page.locator('#submit').click();
    await page.locator('#problem').getByText(/token/i).waitFor();
  });
});
