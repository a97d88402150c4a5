import { expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { SettingsModule } from '../../config/settings.module.js';
import { readSettings } from '../../config/settings.js';
import { TaskProtectionModule } from './task-protection.module.js';
import { TASK_PROTECTION, type TaskProtection } from './task-protection.port.js';

it('gives protection always, where no platform ends workers', async () => {
  const app = await Test.createTestingModule({
    imports: [SettingsModule.with(readSettings({}), new ManualClock()), TaskProtectionModule],
  }).compile();
  const protection = app.get<TaskProtection>(TASK_PROTECTION);
  expect(await protection.protect(30)).toBe(true);
  await protection.unprotect();
  expect(await protection.protect(2_880)).toBe(true);
  await app.close();
});
