import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { SettingsModule } from '../../config/settings.module.js';
import { readSettings } from '../../config/settings.js';
import { systemClock } from '../../config/system-clock.js';
import { LanguageModelModule } from './language-model.module.js';
import { LANGUAGE_MODEL, type LanguageModel } from './language-model.port.js';

describe('the choice of a language model', () => {
  it.each([
    ['nothing', {}, 'extractive (offline, no model)'],
    ['a key', { OPENAI_API_KEY: 'sk-x' }, 'gpt-4o-mini'],
    ['an address', { MODEL_API_URL: 'http://127.0.0.1:1/v1', MODEL_NAME: 'local' }, 'local'],
  ])('with %s set', async (_what, env, name) => {
    const settings = readSettings(env);
    const app = await Test.createTestingModule({
      imports: [SettingsModule.with(settings, systemClock), LanguageModelModule],
    }).compile();
    expect(app.get<LanguageModel>(LANGUAGE_MODEL).name).toBe(name);
    await app.close();
  });
});
