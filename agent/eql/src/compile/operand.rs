//! Compiling values.

use super::{Compiler, describe, kind_text, quote};
use crate::ast::{Expr, ExprKind, Field, Literal};
use crate::diagnostic::{Diagnostic, Span, nearest};
use crate::function::{Computed, FUNCTIONS, Function, find};
use crate::predicate::Operand;
use crate::schema::{FieldId, Kind};

/// Values.
impl Compiler<'_> {
    pub(super) fn operand(&mut self, expr: &Expr) -> Operand {
        match &expr.kind {
            ExprKind::Literal(literal) => Operand::Constant(constant(literal)),
            ExprKind::Field(field) => self.field(field, expr.span),
            ExprKind::Negate(inner) => {
                let operand = self.number(inner);
                Operand::Negate(Box::new(operand))
            }
            ExprKind::Arithmetic { operator, left, right } => {
                let (left, right) = (self.number(left), self.number(right));
                Operand::Arithmetic(*operator, Box::new(left), Box::new(right))
            }
            ExprKind::Call { name, insensitive, arguments } => {
                self.call(name, *insensitive, arguments, expr.span)
            }
            _ => Operand::Condition(Box::new(self.condition(expr))),
        }
    }

    /// An operand of arithmetic, which is not text.
    fn number(&mut self, expr: &Expr) -> Operand {
        if let ExprKind::Literal(literal @ (Literal::Str(_) | Literal::Bool(_))) = &expr.kind {
            let message = format!("expected a number, found {}", describe(literal));
            self.error(expr.span, message);
        }
        self.operand(expr)
    }

    fn field(&mut self, field: &Field, span: Span) -> Operand {
        if let Some((name, rest)) = field.path.split_once('.')
            && let Some((_, step)) = self.aliases.iter().find(|(alias, _)| alias == name)
        {
            let step = *step;
            return Operand::Field { step: Some(step), id: self.path(rest, span) };
        }
        Operand::Field { step: None, id: self.path(&field.path, span) }
    }

    /// Interns a path that a query names, and says so if no record has it.
    pub(super) fn path(&mut self, path: &str, span: Span) -> FieldId {
        let id = self.intern(path);
        if let Some(known) = self.options.known_fields
            && id.index() >= known
            && !self.diagnostics.iter().any(|diagnostic| diagnostic.span == span)
        {
            let near = nearest(path, self.schema.paths().take(known).map(|(_, path)| path));
            let mut diagnostic = Diagnostic::warning(span, format!("no source gives the field `{path}`"));
            if let Some(near) = near {
                diagnostic = diagnostic.with_hint(format!("did you mean `{near}`?"));
            }
            self.diagnostics.push(diagnostic);
        }
        id
    }

    pub(super) fn intern(&mut self, path: &str) -> FieldId {
        let id = self.schema.intern(path);
        self.fields.push(id);
        id
    }

    fn call(&mut self, name: &str, insensitive: bool, arguments: &[Expr], span: Span) -> Operand {
        let compiled: Box<[Operand]> = arguments.iter().map(|argument| self.operand(argument)).collect();
        let Some(signature) = find(name) else {
            let mut diagnostic = Diagnostic::error(span, format!("there is no function `{name}`"));
            let instead = match name.to_ascii_lowercase().as_str() {
                "match" => Some("use the operator `regex`: `field regex \"…\"`".to_owned()),
                "wildcard" => Some("use the operator `like`: `field like \"…\"`".to_owned()),
                _ => nearest(name, FUNCTIONS.iter().map(|signature| signature.name))
                    .map(|near| format!("did you mean `{near}`?")),
            };
            if let Some(instead) = instead {
                diagnostic = diagnostic.with_hint(instead);
            }
            self.diagnostics.push(diagnostic);
            return Operand::Constant(Computed::Null);
        };
        let (least, most) = signature.arguments;
        if arguments.len() < least || arguments.len() > most {
            let message = format!(
                "`{}` does not take {} arguments: `{}`",
                signature.name,
                arguments.len(),
                signature.usage
            );
            self.error(span, message);
        }
        if insensitive && !signature.insensitive {
            let message = format!("`{}` has no form with `~`", signature.name);
            self.error(span, message);
        }
        if signature.function == Function::CidrMatch
            && let Some(operand) = compiled.first()
            && let Some(kind @ (Kind::Number | Kind::Boolean)) = self.kind(operand)
        {
            self.warn(arguments[0].span, format!("{} is {}", quote(&arguments[0]), kind_text(kind)));
        }
        Operand::Call(signature.function, insensitive, compiled)
    }

    pub(super) fn kind(&self, operand: &Operand) -> Option<Kind> {
        match operand {
            Operand::Field { id, .. } => Some(self.schema.kind(*id)).filter(|kind| *kind != Kind::Any),
            _ => None,
        }
    }
}

fn constant(literal: &Literal) -> Computed<'static> {
    match literal {
        Literal::Null => Computed::Null,
        Literal::Bool(value) => Computed::Bool(*value),
        Literal::Int(number) => Computed::Int(*number),
        Literal::Float(number) => Computed::Float(*number),
        Literal::Str(text) => Computed::Str(text.clone().into()),
    }
}
