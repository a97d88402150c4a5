import { type Type } from '@nestjs/common';
import { getMetadataStorage, type ValidationArguments, ValidationTypes } from 'class-validator';

type Metadata = ReturnType<ReturnType<typeof getMetadataStorage>['getTargetValidationMetadatas']>[number];
type Check = (value: unknown, about: ValidationArguments) => unknown;

interface FieldRules {
  readonly field: string;
  /** When one of them says no, the checks do not apply. */
  readonly conditions: readonly ((object: object, value: unknown) => unknown)[];
  readonly checks: readonly { readonly check: Check; readonly constraints: unknown[] }[];
}

/**
 * The rules that class-validator holds for a class, in the order of its fields. It collects them anew for each value, which
 * takes far longer than to apply them; whether a value keeps them can be told from this.
 */
export class ClassRules {
  private static readonly known = new WeakMap<Type, ClassRules>();
  private readonly byField: ReadonlyMap<string, FieldRules>;

  static of(type: Type): ClassRules {
    let rules = ClassRules.known.get(type);
    if (rules === undefined) {
      rules = new ClassRules(type);
      ClassRules.known.set(type, rules);
    }
    return rules;
  }

  private constructor(type: Type) {
    const storage = getMetadataStorage();
    const all = storage.getTargetValidationMetadatas(type, '', false, false);
    const grouped = Object.entries(storage.groupByPropertyName(all));
    this.byField = new Map(grouped.map(([field, own]) => [field, rulesOf(field, own)]));
  }

  /** Whether an object of the class has no other fields and keeps every rule. If not, class-validator says why. */
  areKeptBy(object: object): boolean {
    const values = object as Readonly<Record<string, unknown>>;
    for (const field of Object.keys(values)) if (!this.byField.has(field)) return false;
    for (const rules of this.byField.values()) {
      if (!isKept(rules, object, values[rules.field])) return false;
    }
    return this.byField.size > 0;
  }
}

function rulesOf(field: string, own: readonly Metadata[]): FieldRules {
  const conditional = own.filter(({ type }) => type === ValidationTypes.CONDITIONAL_VALIDATION);
  const others = own.filter(({ type }) => type !== ValidationTypes.CONDITIONAL_VALIDATION);
  return {
    field,
    conditions: conditional.map(({ constraints }) => constraints[0] as FieldRules['conditions'][number]),
    checks: others.flatMap((rule) =>
      checksOf(rule).map((check) => ({ check, constraints: rule.constraints as unknown[] })),
    ),
  };
}

/** A kind of rule that is not known here is never kept, so that class-validator itself decides on it. */
function checksOf({ type, each, validateIf, constraintCls }: Metadata): readonly Check[] {
  if (type !== ValidationTypes.CUSTOM_VALIDATION || each || validateIf !== undefined) return [() => false];
  return getMetadataStorage()
    .getTargetValidatorConstraints(constraintCls)
    .map(({ instance }) => instance.validate.bind(instance));
}

function isKept({ field, conditions, checks }: FieldRules, object: object, value: unknown): boolean {
  for (const condition of conditions) if (!condition(object, value)) return true;
  for (const { check, constraints } of checks) {
    const about = { value, constraints, object, property: field, targetName: object.constructor.name };
    // A promise is no yes.
    if (check(value, about) !== true) return false;
  }
  return true;
}
