import { type ArgumentMetadata, type PipeTransform, type Type } from '@nestjs/common';
import { plainToInstance } from 'class-transformer';
import { registerDecorator, type ValidationError, validateSync } from 'class-validator';
import { MANDATE_MAX_CHARS } from '../domain/envelope.js';
import { EuglenaError, type FieldError } from '../domain/errors.js';
import { schemaProblem } from '../output-schema/output-schema.js';
import { ClassRules } from './class-rules.js';

/**
 * Checks bodies and queries against their classes: unknown fields are refused, nothing is converted in silence. Nest's own
 * ValidationPipe does the same in three times the time: it rebuilds every value deeply first, and our bodies are flat.
 */
export const requestValidation: PipeTransform = {
  transform(value: unknown, { type, metatype }: ArgumentMetadata): unknown {
    if (metatype === undefined || (type !== 'body' && type !== 'query')) return value;
    const instance = instanceOf(metatype, type, value ?? {});
    if (ClassRules.of(metatype).areKeptBy(instance)) return instance;
    const errors = validateSync(instance, {
      whitelist: true,
      forbidNonWhitelisted: true,
      forbidUnknownValues: true,
      stopAtFirstError: true,
      validationError: { target: false, value: false },
    });
    if (errors.length > 0) throw invalidFields(errors.flatMap((error) => fieldErrors(error)));
    return instance;
  },
};

/** A query's texts become what its class says they stand for; a body's values stay what they are. */
function instanceOf(metatype: Type, type: 'body' | 'query', value: object): object {
  if (type === 'query' && Object.keys(value).length > 0)
    return plainToInstance(metatype as Type<object>, value);
  return Object.assign(new metatype() as object, value);
}

/** 422 with every field that is wrong. */
export function invalidFields(fields: readonly FieldError[]): EuglenaError {
  return new EuglenaError('invalid_field', 'The request has invalid fields; see "errors".', { fields });
}

function fieldErrors(error: ValidationError, parent = ''): FieldError[] {
  const field = `${parent}${error.property ?? ''}`;
  const own = Object.entries(error.constraints ?? {}).map(([rule, message]) => ({
    field,
    message: rule === 'whitelistValidation' ? 'is not a field of this request' : message,
  }));
  return [...own, ...(error.children ?? []).flatMap((child) => fieldErrors(child, `${field}.`))];
}

/** Something a person can see: not only white space, controls, surrogates, or characters that Unicode hides. */
const VISIBLE = /[^\p{Cc}\p{Cf}\p{Cs}\p{Z}\p{DI}\u2800]/u;
/** With the `u` flag a surrogate matches only when it stands alone. */
const LONE_SURROGATE = /\p{Cs}/u;

/** What is wrong with a mandate; null when nothing is. Length counts UTF-16 units, as the queued envelope does. */
export function mandateProblem(value: unknown): string | null {
  if (typeof value !== 'string') return 'must be a text';
  if (value.length > MANDATE_MAX_CHARS) return `must have at most ${MANDATE_MAX_CHARS} characters`;
  if (LONE_SURROGATE.test(value)) return 'must be well-formed Unicode: it holds half of a surrogate pair';
  if (!VISIBLE.test(value) || value.trim() === '') return 'must say something: it has no visible character';
  return null;
}

/** Property decorator for {@link mandateProblem}. */
export function IsMandate(): PropertyDecorator {
  return hasNo(mandateProblem, 'isMandate');
}

/** Property decorator for {@link schemaProblem}. */
export function IsOutputSchema(): PropertyDecorator {
  return hasNo(schemaProblem, 'isOutputSchema');
}

function hasNo(problem: (value: unknown) => string | null, name: string): PropertyDecorator {
  return (target, propertyName) => {
    registerDecorator({
      name,
      target: target.constructor,
      propertyName: String(propertyName),
      validator: {
        validate: (value: unknown) => problem(value) === null,
        defaultMessage: (context) => problem(context?.value) ?? 'is invalid',
      },
    });
  };
}
