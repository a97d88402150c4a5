import { describe, expect, it, test } from '@jest/globals';
import fc from 'fast-check';
import { htmlToText } from './html-text.js';

const BASE = 'https://example.com/docs/page';
const text = (html: string) => htmlToText(html, BASE).text;
const filler = `<p>${'Euglena swims with its flagellum, and turns towards the light. '.repeat(10)}</p>`;

describe('htmlToText', () => {
  it('finds the article among what surrounds it', () => {
    const nav = `<nav class="menu"><ul>${'<li><a href="/x">Elsewhere</a></li>'.repeat(30)}</ul></nav>`;
    const read = htmlToText(
      `<html><head><title> Euglena &amp; light </title></head><body>${nav}<article><h1>Phototaxis</h1>${filler}${filler}</article>
       <footer class="footer">All rights reserved</footer></body></html>`,
      BASE,
    );
    expect(read.title).toBe('Euglena & light');
    expect(read.text).toContain('turns towards the light');
    expect(read.text).not.toContain('Elsewhere');
    expect(read.truncated).toBe(false);
  });

  it('takes the title from the first heading when there is none', () => {
    expect(htmlToText('<h1>Only <i>heading</i></h1><p>words</p>', BASE).title).toBe('Only _heading_');
  });

  test.each([
    ['nothing', '', ''],
    ['bare words', 'just words', 'just words'],
    ['a fragment', '<p>one</p><p>two</p>', 'one\n\ntwo'],
    ['unclosed tags', '<p>one<p>two <b>bold', 'one\n\ntwo **bold**'],
    ['an html element without a body', '<html><p>x</p></html>', 'x'],
    ['two bodies', '<body>a</body><body>b</body>', 'ab'],
    ['a list', '<ul><li>a<li>b</ul>', '-   a\n-   b'],
    ['code', '<pre><code>let a  = 1;\n  b();</code></pre>', '```\nlet a  = 1;\n  b();\n```'],
    ['a table', '<table><tr><th>k<th>v</tr><tr><td>a<td>1</tr></table>', '| k | v |\n| a | 1 |'],
    ['half a surrogate pair', '<p>a&#xD800;b</p>', 'a�b'],
    ['custom elements', '<my-box><p>inside</p></my-box>', 'inside'],
  ])('reads %s', (_, html, expected) => {
    expect(text(html).replace(/\n\n\|/g, '\n|')).toBe(expected);
  });

  it('makes links absolute and keeps no others', () => {
    expect(
      text('<p><a href="../a?b=1#c">rel</a> <a href="javascript:x()">js</a> <a href="#top">top</a></p>'),
    ).toBe('[rel](https://example.com/a?b=1#c) js top');
    expect(text('<base href="https://other.example/x/"><a href="y">l</a>')).toBe(
      '[l](https://other.example/x/y)',
    );
  });

  it('leaves out what a reader does not see', () => {
    const hidden = [
      ...['<script>a1</script>', '<style>a2</style>', '<template>a3</template>', '<noscript>a4</noscript>'],
      ...[
        '<p hidden>a5</p>',
        '<p style="color:red; display : none">a6</p>',
        '<!-- a7 -->',
        '<svg><text>a8</svg>',
      ],
      ...[
        '<div style="visibility:hidden"><b>a9</b></div>',
        '<iframe>a10</iframe>',
        '<textarea>a11</textarea>',
      ],
    ];
    expect(text(`<p>seen</p>${hidden.join('')}<p>also</p>`)).toBe('seen\n\nalso');
  });

  it('keeps the text below any depth that is still parsed', () => {
    expect(text(`${'<div>'.repeat(5_000)}the core${'</div>'.repeat(5_000)}`)).toBe('the core');
  });

  const many = (piece: string, chars = 2_000_000) => piece.repeat(Math.floor(chars / piece.length));
  test.each([
    ['nested divs', '<div>'.repeat(100_000)],
    ['nested divs that pretend to close', many('<div><!--</div>-->')],
    ['nested tables', many('<table><tr><td>')],
    ['nested lists', many('<ul><li>x')],
    ['nested bold', many('<b>x')],
    ['paragraphs', many('<p>x, y')],
    ['links', many('<a href="x">y, z</a>')],
    ['breaks', many('x<br><br>')],
    ['comments', many('<!--x-->')],
    ['entities', many('&amp;')],
    ['hard spaces', `<p>a${many('&nbsp;')}b`],
    ['raw hard spaces', `<p>a${many('\u00a0')}b`],
    ['hard spaces in elements', many(`<i>${'\u00a0'.repeat(60)}</i>`)],
    ['preformatted space', `<pre>a${many(' ')}b`],
    ['preformatted space in elements', `<pre>${many(`<i>${' '.repeat(39)}</i>`)}`],
    ['angles', many('<')],
    ['brackets', `<p>${many('[](')}`],
    ['stars', `<p>${many('*_`')}`],
    ['one word', `<p>${many('x')}`],
    ['line breaks', `<p>a${many('\n')}b`],
    ['dashes', `<p>${many('-')}`],
    ['dots', `<p>${many('. ')}`],
    ['commas', `<p>${many(',')}`],
    ['an endless tag', `<div ${many('a ')}`],
    ['an endless attribute', `<a href="${many('a/')}">x</a>`],
    ['many attributes', `<div ${Array.from({ length: 200_000 }, (_, i) => `a${i}`).join(' ')}>x`],
    ['an open comment', `<!--${many('-')}`],
    ['titles', many('<title>x</title>')],
  ])('ends soon on %s', (_, html) => {
    const start = performance.now();
    const read = htmlToText(html, BASE);
    expect(performance.now() - start).toBeLessThan(8_000);
    expect(read.text.length).toBeLessThan(5_000_000);
  });

  it('reads any markup without throwing', () => {
    const tag = fc.constantFrom(
      'div',
      'p',
      'table',
      'td',
      'pre',
      'a href=x',
      'title',
      'svg',
      'html',
      'body',
      'b',
    );
    const piece = fc.oneof(
      tag.map((name) => `<${name}>`),
      tag.map((name) => `</${name.split(' ')[0]}>`),
      fc.string(),
      fc.constantFrom('<!--', '-->', '<![CDATA[', ']]>', '<?x', '&#0;', '&#x110000;', '<a =">'),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        expect(typeof text(pieces.join(''))).toBe('string');
      }),
    );
  });
});
