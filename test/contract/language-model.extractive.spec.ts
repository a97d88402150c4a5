import { ExtractiveLanguageModel } from '../../src/ports/language-model/extractive-language-model.js';
import { languageModelContract } from './language-model.contract.js';

languageModelContract('extractive', async () => {
  const model = new ExtractiveLanguageModel();
  return { model, close: () => model.close() };
});
