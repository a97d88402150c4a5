import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CLOCK, SETTINGS } from '../../config/settings.module.js';
import { type Settings } from '../../config/settings.js';
import { type Clock } from '../../domain/clock.js';
import { ExtractiveLanguageModel } from './extractive-language-model.js';
import { LANGUAGE_MODEL, type LanguageModel } from './language-model.port.js';
import { OpenAiLanguageModel } from './openai-language-model.js';

@Module({
  providers: [
    {
      provide: LANGUAGE_MODEL,
      useFactory: ({ model }: Settings, clock: Clock): LanguageModel =>
        model.apiUrl === null && model.apiKey === null
          ? new ExtractiveLanguageModel()
          : new OpenAiLanguageModel(model, clock, () => Math.random()),
      inject: [SETTINGS, CLOCK],
    },
  ],
  exports: [LANGUAGE_MODEL],
})
export class LanguageModelModule implements OnApplicationShutdown {
  constructor(@Inject(LANGUAGE_MODEL) private readonly model: LanguageModel) {}

  onApplicationShutdown(): Promise<void> {
    return this.model.close();
  }
}
