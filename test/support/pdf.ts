import { deflateSync } from 'node:zlib';

/**
 * A small PDF: one page for each content stream, in Helvetica.
 * @param contents Operators between `BT` and `ET`, such as `(words) Tj`.
 * @param repeat Shows the pages so many times, from the same streams.
 */
export function pdf(contents: readonly (string | Buffer)[], title?: string, repeat = 1): Buffer {
  const numberOf = (index: number) => 10 + index;
  const firstPage = numberOf(contents.length);
  const pages = Array.from({ length: contents.length * repeat }, (_, index) => firstPage + index);
  const objects: [number, Buffer][] = [
    [1, dictionary('/Type/Catalog/Pages 2 0 R')],
    [
      2,
      dictionary(`/Type/Pages/Count ${pages.length}/Kids[${pages.map((page) => `${page} 0 R`).join(' ')}]`),
    ],
    [3, dictionary('/Type/Font/Subtype/Type1/BaseFont/Helvetica')],
    [4, dictionary(title === undefined ? '' : `/Title(${title})`)],
    ...contents.map((content, index): [number, Buffer] => [numberOf(index), stream(content)]),
    ...pages.map((page, index): [number, Buffer] => [
      page,
      dictionary(
        `/Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F 3 0 R>>>>` +
          `/Contents ${numberOf(index % contents.length)} 0 R`,
      ),
    ]),
  ];
  return assemble(objects, '/Root 1 0 R/Info 4 0 R');
}

/** A PDF whose password nobody knows. */
export function lockedPdf(): Buffer {
  const hex = '5a'.repeat(32);
  const objects: [number, Buffer][] = [
    [1, dictionary('/Type/Catalog/Pages 2 0 R')],
    [2, dictionary('/Type/Pages/Count 0/Kids[]')],
    [5, dictionary(`/Filter/Standard/V 1/R 2/O<${hex}>/U<${hex}>/P -4`)],
  ];
  return assemble(objects, `/Root 1 0 R/Encrypt 5 0 R/ID[<${hex}><${hex}>]`);
}

function dictionary(entries: string): Buffer {
  return Buffer.from(`<<${entries}>>`);
}

function stream(content: string | Buffer): Buffer {
  const operators = Buffer.concat([
    Buffer.from('BT /F 12 Tf 14 TL 20 700 Td '),
    Buffer.from(content),
    Buffer.from(' ET'),
  ]);
  const packed = deflateSync(operators);
  const head = Buffer.from(`<</Filter/FlateDecode/Length ${packed.length}>>\nstream\n`);
  return Buffer.concat([head, packed, Buffer.from('\nendstream')]);
}

function assemble(objects: readonly [number, Buffer][], trailer: string): Buffer {
  const parts = [Buffer.from('%PDF-1.7\n')];
  let length = parts[0]?.length ?? 0;
  const offsets: string[] = [];
  for (const [number, body] of objects) {
    offsets.push(`${number} 1\n${String(length).padStart(10, '0')} 00000 n \n`);
    const object = Buffer.concat([Buffer.from(`${number} 0 obj\n`), body, Buffer.from('\nendobj\n')]);
    parts.push(object);
    length += object.length;
  }
  const size = Math.max(...objects.map(([number]) => number)) + 1;
  const end = `xref\n${offsets.join('')}trailer\n<</Size ${size}${trailer}>>\nstartxref\n${length}\n%%EOF\n`;
  return Buffer.concat([...parts, Buffer.from(end)]);
}
