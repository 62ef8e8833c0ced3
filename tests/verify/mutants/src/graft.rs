//! All mutants of a file in one source, each behind a switch.

use std::{cmp::Reverse, ops::Range};

use syn::{spanned::Spanned as _, visit::Visit};

use crate::{
    Result,
    mutant::{Kind, Mutant, Place},
};

/// What each mutant's switch is called in the source.
pub(crate) const SWITCH: &str = "crate::mutants::on";

/// Something put into a source: text at a place, or nothing in the place of some.
#[derive(Debug)]
struct Edit {
    at: Range<usize>,
    text: String,
    /// Whether it ends what another one began. Where several meet, ends come first, inner ones before
    /// outer ones, and beginnings the other way round.
    is_end: bool,
}

/// Returns the source with those of its mutants that have a number, and the numbers of those that
/// cannot be switched. `constant` names functions that have to stay so.
pub(crate) fn grafted(
    source: &str,
    mutants: &[(usize, &Mutant)],
    constant: &[String],
) -> Result<(String, Vec<usize>)> {
    let mut places = Places::default();
    places.visit_file(&syn::parse_file(source)?);
    let lines = Lines::of(source);
    let mut graft = Graft {
        source,
        ..Graft::default()
    };
    let mut fixed = Vec::new();
    for &(number, mutant) in mutants {
        let span = lines.range(mutant);
        let function = places
            .function_around(&span)
            .filter(|function| !places.is_constant(&span) && !constant.contains(&function.name));
        let is_switched = function.is_some_and(|function| {
            let is_switched = match mutant.kind {
                Kind::Body => graft.body(function, number, mutant),
                Kind::Arm => graft.arm(places.arm_at(&span), number),
                Kind::Other => graft.choice(places.smallest_around(&span), &span, number, mutant),
            };
            if let Some(word) = &function.constant {
                graft.remove(word);
            }
            is_switched
        });
        if !is_switched {
            fixed.push(number);
        }
    }
    Ok((graft.finish(), fixed))
}

/// What becomes of a source.
#[derive(Default)]
struct Graft<'a> {
    source: &'a str,
    edits: Vec<Edit>,
    choices: Vec<Choice>,
}

impl Graft<'_> {
    fn begin(&mut self, at: usize, text: String) {
        self.edits.push(Edit {
            at: at..at,
            text,
            is_end: false,
        });
    }

    fn end(&mut self, at: usize, text: String) {
        self.edits.push(Edit {
            at: at..at,
            text,
            is_end: true,
        });
    }

    fn remove(&mut self, word: &Range<usize>) {
        if !self.edits.iter().any(|edit| edit.at == *word) {
            self.edits.push(Edit {
                at: word.clone(),
                text: String::new(),
                is_end: true,
            });
        }
    }

    fn body(&mut self, function: &Function, number: usize, mutant: &Mutant) -> bool {
        let text = format!(
            "\nif {SWITCH}({number}) {{ return {}; }}\n",
            mutant.replacement
        );
        self.begin(function.body.start + 1, text);
        true
    }

    fn arm(&mut self, arm: Option<&Arm>, number: usize) -> bool {
        let Some(arm) = arm else { return false };
        if let Some(guard) = &arm.guard {
            self.begin(guard.start, format!("\n!{SWITCH}({number}) && ("));
            self.end(guard.end, ")".to_owned());
        } else {
            self.end(arm.pattern, format!("\n if !{SWITCH}({number}) "));
        }
        true
    }

    fn choice(
        &mut self,
        whole: Option<Range<usize>>,
        part: &Range<usize>,
        number: usize,
        mutant: &Mutant,
    ) -> bool {
        let Some(whole) = whole else { return false };
        let (before, after) = (
            &self.source[whole.start..part.start],
            &self.source[part.end..whole.end],
        );
        let text = format!(
            "\nif {SWITCH}({number}) {{ {before}{}{after} }} else ",
            mutant.replacement
        );
        match self.choices.iter_mut().find(|choice| choice.whole == whole) {
            Some(choice) => choice.text.push_str(&text),
            None => self.choices.push(Choice { whole, text }),
        }
        true
    }

    fn finish(mut self) -> String {
        // Outer ones first: what is put at the same place later is further in.
        self.choices
            .sort_by_key(|choice| (choice.whole.start, Reverse(choice.whole.end)));
        for Choice { whole, text } in std::mem::take(&mut self.choices) {
            self.begin(whole.start, format!("({text}{{ "));
            self.end(whole.end, " })".to_owned());
        }
        edited(self.source, self.edits)
    }
}

/// An expression, and what stands before it: `if …(1) { changed } else if …(2) { changed } else`.
struct Choice {
    whole: Range<usize>,
    text: String,
}

fn edited(source: &str, edits: Vec<Edit>) -> String {
    let count = edits.len();
    let mut order: Vec<_> = edits.into_iter().enumerate().collect();
    order.sort_by_key(|(nth, edit)| {
        let rank = if edit.is_end {
            count - nth
        } else {
            count + 1 + nth
        };
        (edit.at.start, rank)
    });
    let mut all = String::with_capacity(source.len() * 2);
    let mut done = 0;
    for (_, edit) in order {
        all.push_str(&source[done..edit.at.start]);
        all.push_str(&edit.text);
        done = edit.at.end;
    }
    all + &source[done..]
}

/// Where in the source things are, in bytes.
#[derive(Default)]
struct Places {
    functions: Vec<Function>,
    arms: Vec<Arm>,
    expressions: Vec<Range<usize>>,
    /// What is computed when the crate is built.
    constants: Vec<Range<usize>>,
}

struct Function {
    name: String,
    body: Range<usize>,
    /// The word `const`.
    constant: Option<Range<usize>>,
}

struct Arm {
    start: usize,
    /// Where its pattern ends.
    pattern: usize,
    guard: Option<Range<usize>>,
}

fn inside(inner: &Range<usize>, outer: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

fn smallest<'a, T>(
    all: &'a [T],
    range: impl Fn(&T) -> &Range<usize>,
    around: &Range<usize>,
) -> Option<&'a T> {
    let around = all.iter().filter(|item| inside(around, range(item)));
    around.min_by_key(|item| range(item).len())
}

impl Places {
    fn function_around(&self, span: &Range<usize>) -> Option<&Function> {
        smallest(&self.functions, |function| &function.body, span)
    }

    fn arm_at(&self, span: &Range<usize>) -> Option<&Arm> {
        self.arms.iter().find(|arm| arm.start == span.start)
    }

    fn smallest_around(&self, span: &Range<usize>) -> Option<Range<usize>> {
        smallest(&self.expressions, |range| range, span).cloned()
    }

    fn is_constant(&self, span: &Range<usize>) -> bool {
        self.constants.iter().any(|constant| inside(span, constant))
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        self.functions.push(Function {
            name: signature.ident.to_string(),
            body: block.span().byte_range(),
            constant: signature
                .constness
                .as_ref()
                .map(|word| word.span.byte_range()),
        });
    }
}

impl<'ast> Visit<'ast> for Places {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, item);
    }

    fn visit_expr(&mut self, expr: &'ast syn::Expr) {
        self.expressions.push(expr.span().byte_range());
        syn::visit::visit_expr(self, expr);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.arms.push(Arm {
            start: arm.span().byte_range().start,
            pattern: arm.pat.span().byte_range().end,
            guard: arm
                .guard
                .as_ref()
                .map(|(_, guard)| guard.span().byte_range()),
        });
        syn::visit::visit_arm(self, arm);
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.constants.push(item.span().byte_range());
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.constants.push(item.span().byte_range());
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.constants.push(item.span().byte_range());
    }

    fn visit_expr_repeat(&mut self, expr: &'ast syn::ExprRepeat) {
        self.constants.push(expr.len.span().byte_range());
        self.visit_expr(&expr.expr);
    }

    fn visit_type(&mut self, of: &'ast syn::Type) {
        self.constants.push(of.span().byte_range());
    }
}

/// Where the lines of a source begin.
struct Lines<'a> {
    source: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(source: &'a str) -> Self {
        let ends = source.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            source,
            starts: std::iter::once(0).chain(ends).collect(),
        }
    }

    fn range(&self, mutant: &Mutant) -> Range<usize> {
        self.at(mutant.span.start)..self.at(mutant.span.end)
    }

    /// Columns count characters.
    fn at(&self, place: Place) -> usize {
        let line = self.starts[place.line - 1];
        let mut columns = self.source[line..].char_indices().map(|(at, _)| line + at);
        columns.nth(place.column - 1).unwrap_or(self.source.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutant::Span;

    const SOURCE: &str = "\
impl Purse {
    pub const fn holds(&self, coins: u64) -> bool {
        self.open && self.coins + 1 > coins
    }

    fn spend(&mut self, coin: Coin) -> u64 {
        self.coins -= 1;
        match coin {
            Coin::Penny => 1,
            Coin::Of(value) if value > 9 => value,
            _ => 0,
        }
    }
}

const MOST: u64 = 2 + 2;
";

    /// A change of the first place with this text.
    fn change(kind: Kind, what: &str, replacement: &str) -> Mutant {
        let at = SOURCE.find(what).unwrap();
        let place = |at: usize| Place {
            line: SOURCE[..at].lines().count().max(1),
            column: at - SOURCE[..at].rfind('\n').map_or(0, |end| end + 1) + 1,
        };
        Mutant {
            file: String::new(),
            name: String::new(),
            replacement: replacement.to_owned(),
            span: Span {
                start: place(at),
                end: place(at + what.len()),
            },
            kind,
        }
    }

    /// Grafts, takes the lines' own breaks out again, and returns what cannot be switched.
    fn graft(mutants: &[Mutant]) -> (String, Vec<usize>) {
        let numbered: Vec<_> = mutants.iter().enumerate().collect();
        let (source, fixed) = grafted(SOURCE, &numbered, &[]).unwrap();
        syn::parse_file(&source).expect("it is Rust");
        (source.replace('\n', ""), fixed)
    }

    #[test]
    fn operators_of_one_expression_are_switched_each_by_itself() {
        let (source, _) = graft(&[
            change(Kind::Other, "&&", "||"),
            change(Kind::Other, "+", "-"),
            change(Kind::Other, "+", "*"),
        ]);
        let expected = "(if crate::mutants::on(0) { self.open || self.coins + 1 > coins } else { self.open && \
            (if crate::mutants::on(1) { self.coins - 1 } else if crate::mutants::on(2) { self.coins * 1 } else \
            { self.coins + 1 }) > coins })";
        assert!(source.contains(expected), "{source}");
        assert!(
            source.contains("pub  fn holds"),
            "what is switched is not constant: {source}"
        );
    }

    #[test]
    fn a_body_an_arm_a_guard_and_an_assignment_are_switched() {
        let body = "self.coins -= 1;
        match coin {
            Coin::Penny => 1,
            Coin::Of(value) if value > 9 => value,
            _ => 0,
        }";
        let (source, fixed) = graft(&[
            change(Kind::Body, body, "7"),
            change(Kind::Arm, "Coin::Penny => 1,", ""),
            change(Kind::Arm, "Coin::Of(value) if value > 9 => value,", ""),
            change(Kind::Other, "value > 9", "true"),
            change(Kind::Other, "-=", "+="),
        ]);
        for expected in [
            "{if crate::mutants::on(0) { return 7; }",
            "Coin::Penny if !crate::mutants::on(1)  => 1,",
            "if !crate::mutants::on(2) && ((if crate::mutants::on(3) { true } else { value > 9 })) => value,",
            "(if crate::mutants::on(4) { self.coins += 1 } else { self.coins -= 1 });",
        ] {
            assert!(source.contains(expected), "{expected}\n{source}");
        }
        assert!(fixed.is_empty());
    }

    #[test]
    fn what_is_computed_at_build_time_cannot_be_switched() {
        let mut sum = change(Kind::Other, "2 + 2", "2 - 2");
        sum.span.start.column += 2;
        sum.span.end.column = sum.span.start.column + 1;
        let (source, fixed) = graft(&[sum]);
        assert_eq!(source, SOURCE.replace('\n', ""));
        assert_eq!(fixed, [0]);
    }
}
