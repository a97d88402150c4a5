/** The part of the single-page questions that the offline model answers with the right source, at least. */
const SINGLE_PAGE_ENOUGH = 0.7;

/** A Markdown page with one table over the models and kinds of question. */
export function report(tables) {
  const head = [
    'model',
    'kind',
    'questions',
    'right',
    'answered',
    'sourced',
    'valid citations',
    'over budget',
    'ticks: mean (most)',
    'words',
  ];
  const rows = tables.flatMap(({ model, table }) =>
    table.map((line) => [
      model,
      line.kind,
      line.questions,
      percent(line.right),
      percent(line.answered),
      percent(line.sourced),
      percent(line.citationsValid),
      line.overBudget,
      `${line.meanTicks.toFixed(1)} (${line.maxTicks})`,
      line.medianWords,
    ]),
  );
  const widths = head.map((name, at) => Math.max(...[name, ...rows.map((row) => row[at])].map(length)));
  const line = (cells) => `| ${cells.map((cell, at) => String(cell).padEnd(widths[at])).join(' | ')} |`;
  const divider = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return ['# How well the agent answers', '', line(head), divider, ...rows.map(line), ''].join('\n');
}

/** What is below what is promised, one line each. Of a real model, only what no model may break. */
export function shortfalls({ model, table }) {
  const all = table.find(({ kind }) => kind === 'all');
  const single = table.find(({ kind }) => kind === 'single');
  const missing = [];
  if (model === 'extractive' && single !== undefined && single.right < SINGLE_PAGE_ENOUGH) {
    missing.push(`${model}: ${percent(single.right)} of the single-page questions are right.`);
  }
  if (all.citationsValid < 1) missing.push(`${model}: there are citations of pages that were not read.`);
  if (all.overBudget > 0) missing.push(`${model}: ${all.overBudget} questions went over their budget.`);
  return missing;
}

const percent = (share) => `${Math.round(share * 100)} %`;
const length = (cell) => String(cell).length;
