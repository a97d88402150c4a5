import { type ValidationError, ValidationPipe } from '@nestjs/common';
import { registerDecorator } from 'class-validator';
import { MANDATE_MAX_CHARS } from '../domain/envelope.js';
import { EuglenaError, type FieldError } from '../domain/errors.js';

/** Checks bodies and queries against their classes: unknown fields are refused, nothing is converted in silence. */
export const requestValidation = new ValidationPipe({
  whitelist: true,
  forbidNonWhitelisted: true,
  transform: true,
  stopAtFirstError: true,
  validationError: { target: false, value: false },
  exceptionFactory: (errors) => invalidFields(errors.flatMap((error) => fieldErrors(error))),
});

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
  return (target, propertyName) => {
    registerDecorator({
      name: 'isMandate',
      target: target.constructor,
      propertyName: String(propertyName),
      validator: {
        validate: (value: unknown) => mandateProblem(value) === null,
        defaultMessage: (context) => mandateProblem(context?.value) ?? 'is invalid',
      },
    });
  };
}
