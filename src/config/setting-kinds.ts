import { z } from 'zod';
import { parseUrl } from '../domain/parse-url.js';

/** A setting that is there but blank counts as one that is not. */
export const blank = (value: unknown) =>
  typeof value === 'string' && value.trim() === '' ? undefined : value;
export const optionalText = z.preprocess(blank, z.string().trim().optional());
const bounded = (min: number, max: number) =>
  z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`);
const whole = (min: number, max: number) =>
  z.string().trim().regex(/^\d+$/, 'must be a whole number').transform(Number).pipe(bounded(min, max));
const decimal = (min: number, max: number) =>
  z
    .string()
    .trim()
    .regex(/^\d+(\.\d+)?$/, 'must be a number such as 0.2')
    .transform(Number)
    .pipe(bounded(min, max));

export const integer = (min: number, max: number, fallback: number) =>
  z.preprocess(blank, whole(min, max).default(fallback));
export const optionalInteger = (min: number, max: number) => z.preprocess(blank, whole(min, max).optional());
export const optionalDecimal = (min: number, max: number) =>
  z.preprocess(blank, decimal(min, max).optional());

export const flag = z.preprocess(
  blank,
  z
    .string()
    .trim()
    .toLowerCase()
    .refine((value) => ['true', 'false', '1', '0'].includes(value), 'must be true or false')
    .transform((value) => value === 'true' || value === '1')
    .default(false),
);
/** `protocols` with their colon, such as `https:`. */
export const optionalUrl = (...protocols: string[]) =>
  z.preprocess(
    blank,
    z
      .string()
      .trim()
      .refine(
        (value) => {
          const url = parseUrl(value);
          return url !== null && protocols.includes(url.protocol);
        },
        `must be a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
      )
      .optional(),
  );
/** Texts between commas. */
export const list = z.preprocess(blank, z.string().default('')).transform((value) =>
  value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);
