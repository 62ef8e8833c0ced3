//! All mutants of a file in one source, each behind a switch.

use std::ops::Range;

use proc_macro2::Span;
use syn::{spanned::Spanned as _, visit::Visit};

use crate::{Result, mutant::Mutant};

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
/// cannot be switched.
pub(crate) fn grafted(source: &str, mutants: &[(usize, &Mutant)], constant: &[String]) -> Result<(String, Vec<usize>)> {
    let mut places = Places::default();
    places.visit_file(&syn::parse_file(source)?);
    let lines = Lines::of(source);
    let mut edits = Vec::new();
    let mut fixed = Vec::new();
    // Outer ones first: what is put at the same place later is further in.
    let mut mutants = mutants.to_vec();
    mutants.sort_by_key(|(_, mutant)| (mutant.span.start.line, mutant.span.start.column));
    let mut choices = Vec::<Choice>::new();
    for (number, mutant) in mutants {
        let span = lines.range(mutant);
        let Some(function) = places.function_around(&span) else {
            fixed.push(number);
            continue;
        };
        if places.is_constant(&span) || constant.contains(&function.name) {
            fixed.push(number);
            continue;
        }
        if mutant.is_body {
            let text = format!("\nif {SWITCH}({number}) {{ return {}; }}\n", mutant.replacement);
            edits.push(Edit { at: function.body.start + 1..function.body.start + 1, text, is_end: false });
        } else if mutant.is_arm {
            let Some(arm) = places.arms.iter().find(|arm| arm.whole == span || arm.whole.start == span.start) else {
                fixed.push(number);
                continue;
            };
            match &arm.guard {
                Some(guard) => {
                    let text = format!("\n!{SWITCH}({number}) && (");
                    edits.push(Edit { at: guard.start..guard.start, text, is_end: false });
                    edits.push(Edit { at: guard.end..guard.end, text: ")".to_owned(), is_end: true });
                }
                None => {
                    let text = format!("\n if !{SWITCH}({number}) ");
                    edits.push(Edit { at: arm.pattern..arm.pattern, text, is_end: true });
                }
            }
        } else {
            let Some(whole) = places.smallest_around(&span) else {
                fixed.push(number);
                continue;
            };
            let changed = [&source[whole.start..span.start], &mutant.replacement, &source[span.end..whole.end]].concat();
            let changed = format!("\nif {SWITCH}({number}) {{ {changed} }} else ");
            match choices.iter_mut().find(|choice| choice.whole == whole) {
                Some(choice) => choice.text.push_str(&changed),
                None => choices.push(Choice { whole, text: changed }),
            }
        }
        if let Some(word) = &function.constant {
            if !edits.iter().any(|edit| edit.at == *word) {
                edits.push(Edit { at: word.clone(), text: String::new(), is_end: true });
            }
        }
    }
    choices.sort_by_key(|choice| (choice.whole.start, usize::MAX - choice.whole.end));
    for Choice { whole, text } in choices {
        edits.push(Edit { at: whole.start..whole.start, text: format!("({text}{{ "), is_end: false });
        edits.push(Edit { at: whole.end..whole.end, text: " })".to_owned(), is_end: true });
    }
    Ok((edited(source, edits), fixed))
}

/// An expression, and what stands before it: `if …(1) { changed } else if …(2) { changed } else`.
struct Choice {
    whole: Range<usize>,
    text: String,
}

fn edited(source: &str, mut edits: Vec<Edit>) -> String {
    let mut order: Vec<_> = (0..edits.len()).collect();
    order.sort_by_key(|&nth| {
        let edit = &edits[nth];
        let rank = if edit.is_end { edits.len() - nth } else { edits.len() + 1 + nth };
        (edit.at.start, rank)
    });
    let mut all = String::with_capacity(source.len() * 2);
    let mut done = 0;
    for nth in order {
        let edit = &mut edits[nth];
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
    whole: Range<usize>,
    /// Where its pattern ends.
    pattern: usize,
    guard: Option<Range<usize>>,
}

fn inside(inner: &Range<usize>, outer: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

fn smallest<'a, T>(all: &'a [T], range: impl Fn(&T) -> &Range<usize>, around: &Range<usize>) -> Option<&'a T> {
    let around = all.iter().filter(|item| inside(around, range(item)));
    around.min_by_key(|item| range(item).len())
}

impl Places {
    fn function_around(&self, span: &Range<usize>) -> Option<&Function> {
        smallest(&self.functions, |function| &function.body, span)
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
            constant: signature.constness.as_ref().map(|word| word.span.byte_range()),
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
            whole: arm.span().byte_range(),
            pattern: Span::byte_range(&arm.pat.span()).end,
            guard: arm.guard.as_ref().map(|(_, guard)| guard.span().byte_range()),
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
        Self { source, starts: std::iter::once(0).chain(ends).collect() }
    }

    fn range(&self, mutant: &Mutant) -> Range<usize> {
        self.at(mutant.span.start)..self.at(mutant.span.end)
    }

    /// Columns count characters.
    fn at(&self, place: crate::mutant::Place) -> usize {
        let line = self.starts[place.line - 1];
        let mut columns = self.source[line..].char_indices().map(|(at, _)| line + at);
        columns.nth(place.column - 1).unwrap_or(self.source.len())
    }
}
