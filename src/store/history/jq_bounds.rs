//! Bounds of a jq expression: time, steps, stack and what it builds. The library has none, so a call that counts is put
//! into every place of an expression where something can repeat, and into jq's own definitions. What goes too far
//! unwinds, which no `try` of the expression can catch.

use std::cell::Cell;
use std::cmp::Ordering;
use std::panic::resume_unwind;
use std::time::{Duration, Instant};

use jaq_core::data::JustLut;
use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::native::{Fun, bome, run, unary, v};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};
use jaq_core::{Error, Exn, ValX};
use jaq_json::{Num, Val, read};

/// The stack of an expression's thread; reserved, and only used as far as it goes.
pub(super) const STACK: usize = 64 * 1024 * 1024;
/// So far calls may go; the rest is for what a call does in between.
const DEEPEST_STACK: usize = 16 * 1024 * 1024;
const LONGEST: Duration = Duration::from_millis(500);
const MOST_STEPS: u32 = 1_000_000;
/// The weight of one value, and of all that are looked at: a byte of text is 1, a value 16.
const HEAVIEST: usize = 16 * 1024 * 1024;
const HEAVIEST_ALL: usize = 256 * 1024 * 1024;
const DEEPEST_VALUE: usize = 1_000;
/// Digits of a number: to read it or to write it takes longer by the square of them.
const MOST_DIGITS: usize = 80_000;
/// The same in bits, roughly.
const MOST_BITS: u64 = 1 << 18;
/// What is compared pair by pair is at most so many pairs.
const MOST_PAIRS: usize = 50_000_000;
/// Native functions that compare pair by pair, and what they are called instead, which no expression can say.
const PAIRWISE: [(&str, &str); 2] = [("contains", "(contains)"), ("indices", "(indices)")];

const TICK: &str = "gatherd_tick";
const TIMES: &str = "gatherd_times";
const PAIRS: &str = "gatherd_pairs";
const WITH: &str = "$gatherd_with";
const TICKED: &str = "$gatherd_ticked";
const FACTOR: &str = "$gatherd_factor";

/// What an expression did too much of; it is what unwinds.
pub(super) struct Exceeded(pub(super) &'static str);

thread_local! {
    static BOUNDS: Cell<Option<Bounds>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Bounds {
    until: Instant,
    steps: u32,
    weight: usize,
    stack: usize,
}

/// Begins to count anew.
pub(super) fn begin() {
    let bounds = Bounds { until: Instant::now() + LONGEST, steps: 0, weight: 0, stack: stack() };
    BOUNDS.set(Some(bounds));
}

/// Where the stack is: the address of something on it.
fn stack() -> usize {
    let here = 0_u8;
    (&raw const here).addr()
}

/// Counts a step that sees `value`, and unwinds when it is one too many.
fn tick(value: &Val) {
    let Some(mut bounds) = BOUNDS.get() else { return };
    bounds.steps += 1;
    bounds.weight = bounds.weight.saturating_add(weight(value, DEEPEST_VALUE, HEAVIEST));
    BOUNDS.set(Some(bounds));
    if bounds.steps > MOST_STEPS || Instant::now() > bounds.until {
        exceed("it takes too long");
    }
    if bounds.weight > HEAVIEST_ALL {
        exceed("what it builds is too large");
    }
    if bounds.stack.abs_diff(stack()) > DEEPEST_STACK {
        exceed("it calls itself too deep");
    }
}

fn exceed(what: &'static str) -> ! {
    resume_unwind(Box::new(Exceeded(what)))
}

/// The weight of `value`; one that is over `most` or too deep is too much at once.
fn weight(value: &Val, depth: usize, most: usize) -> usize {
    let within = |sum: usize, inner: &Val| {
        let left = most.checked_sub(sum).unwrap_or_else(|| exceed("what it builds is too large"));
        let depth = depth.checked_sub(1).unwrap_or_else(|| exceed("what it builds is too deep"));
        sum + weight(inner, depth, left)
    };
    match value {
        Val::TStr(text) | Val::BStr(text) if text.len() > most => exceed("what it builds is too large"),
        Val::TStr(text) | Val::BStr(text) => 16 + text.len(),
        Val::Num(Num::BigInt(number)) if number.bits() > MOST_BITS => exceed("what it builds is too large"),
        Val::Num(Num::BigInt(number)) => 16 + usize::try_from(number.bits() / 8).unwrap_or(usize::MAX),
        Val::Num(Num::Dec(text)) => 16 + text.len(),
        Val::Arr(elements) => elements.iter().fold(16, within),
        Val::Obj(members) => members.iter().fold(16, |sum, (key, inner)| within(within(sum, key), inner)),
        Val::Null | Val::Bool(_) | Val::Num(_) => 16,
    }
}

/// The native functions, with those that count, and without those that reach outside or further than any bound.
pub(super) fn functions(all: impl Iterator<Item = Fun<JustLut<Val>>>) -> impl Iterator<Item = Fun<JustLut<Val>>> {
    const OURS: [&str; 3] = ["env", "range", "fromjson"];
    let ours: [Fun<JustLut<Val>>; 6] = [
        run((TICK, v(0), |cv| {
            tick(&cv.1);
            bome(Ok(Val::Null))
        })),
        run((TIMES, v(2), |mut cv| {
            let right = cv.0.pop_var();
            bome(times(cv.0.pop_var(), right))
        })),
        run((PAIRS, v(1), |cv| {
            unary(cv, |left, right| {
                count_pairs(&left, &right);
                Ok(left)
            })
        })),
        run(("env", v(0), |_| bome(Ok(Val::obj(jaq_json::Map::default()))))),
        run(("range", v(3), |mut cv| {
            let (by, to) = (cv.0.pop_var(), cv.0.pop_var());
            Box::new(range(cv.0.pop_var(), to, by))
        })),
        run(("fromjson", v(0), |cv| bome(from_json(&cv.1)))),
    ];
    let renamed = |name: &'static str| PAIRWISE.iter().find(|pair| pair.0 == name).map_or(name, |pair| pair.1);
    let kept = all.filter(|(name, ..)| !OURS.contains(name));
    kept.map(move |(name, arguments, run)| (renamed(name), arguments, run)).chain(ours)
}

/// Definitions of what compares pair by pair, to stand before all others: the native function, once pairs are counted.
pub(super) fn pairwise() -> impl Iterator<Item = Def<&'static str>> {
    PAIRWISE.into_iter().map(|(name, native)| {
        let call = |name| Box::new(Term::Call(name, vec![Term::Var(WITH)]));
        Def { name, args: vec![WITH], body: Term::BinOp(call(PAIRS), BinaryOp::Pipe(None), call(native)) }
    })
}

/// Unwinds when each part of one value with each part of another is too much.
fn count_pairs(left: &Val, right: &Val) {
    tick(left);
    tick(right);
    let parts = |value| weight(value, DEEPEST_VALUE, HEAVIEST) / 16;
    if parts(left).saturating_mul(parts(right)) > MOST_PAIRS {
        exceed("it takes too long");
    }
}

/// A product; a text is repeated only as often as it may be.
fn times(left: Val, right: Val) -> Result<Val, Error<Val>> {
    if let (Val::TStr(text) | Val::BStr(text), Val::Num(count)) | (Val::Num(count), Val::TStr(text) | Val::BStr(text)) =
        (&left, &right)
    {
        let count: f64 = count.to_string().parse().unwrap_or(f64::INFINITY);
        #[allow(clippy::cast_precision_loss, reason = "only roughly")]
        if count * text.len() as f64 > HEAVIEST as f64 {
            exceed("what it builds is too large");
        }
    }
    tick(&left);
    tick(&right);
    left * right
}

/// As jq's own, and counted.
fn range<'a>(from: Val, to: Val, by: Val) -> impl Iterator<Item = ValX<'a, Val>> {
    let zero = Val::from(0_isize);
    let mut next = Some(Ok(from));
    std::iter::from_fn(move || {
        let here: Val = match next.take()? {
            Ok(here) => here,
            Err(error) => return Some(Err(Exn::from(error))),
        };
        tick(&here);
        let goes_on = match by.cmp(&zero) {
            Ordering::Greater => here < to,
            Ordering::Less => here > to,
            Ordering::Equal => here != to,
        };
        goes_on.then(|| {
            next = Some(here.clone() + by.clone());
            Ok(here)
        })
    })
}

fn from_json(value: &Val) -> Result<Val, Error<Val>> {
    let (Val::TStr(text) | Val::BStr(text)) = value else { return Err(Error::str("fromjson wants a text")) };
    check_digits(text);
    // The library's parser recurses.
    if text.iter().filter(|&&byte| matches!(byte, b'[' | b'{')).count() > 10 * DEEPEST_VALUE {
        exceed("what it builds is too deep");
    }
    read::parse_single(text).map_err(|error| Error::str(format!("fromjson: {error}")))
}

/// Unwinds when a number in `text` is too long to be read in time. A string of as many digits is taken for one.
pub(super) fn check_digits(text: &[u8]) {
    if text.split(|byte| !byte.is_ascii_digit()).any(|digits| digits.len() > MOST_DIGITS) {
        exceed("a number in it is too long");
    }
}

/// `definition` with its steps counted.
pub(super) fn bounded_definition(definition: Def<&str>) -> Def<&str> {
    Def { body: ticked(bounded(definition.body)), ..definition }
}

/// `term` with its steps counted; its values and paths are the same.
pub(super) fn bounded(term: Term<&str>) -> Term<&str> {
    match term {
        Term::Id | Term::Num(_) | Term::Var(_) | Term::Break(_) | Term::Arr(None) => term,
        Term::Recurse => guarded(Term::Recurse),
        Term::Str(format, parts) => Term::Str(format, parts.into_iter().map(bounded_part).collect()),
        Term::Arr(Some(inner)) => Term::Arr(Some(Box::new(counted(*inner)))),
        Term::Obj(members) => Term::Obj(members.into_iter().map(bounded_member).collect()),
        Term::Neg(inner) => Term::Neg(Box::new(counted(*inner))),
        Term::BinOp(left, operator, right) => bounded_operation(*left, operator, *right),
        Term::Label(name, inner) => Term::Label(name, Box::new(bounded(*inner))),
        Term::Fold(name, values, pattern, parts) => {
            let parts = parts.into_iter().map(|part| ticked(bounded(part))).collect();
            Term::Fold(name, Box::new(counted(*values)), bounded_pattern(pattern), parts)
        }
        Term::TryCatch(tried, caught) => {
            Term::TryCatch(Box::new(bounded(*tried)), caught.map(|caught| Box::new(bounded(*caught))))
        }
        Term::IfThenElse(cases, otherwise) => {
            let cases = cases.into_iter().map(|(condition, then)| (counted(condition), bounded(then)));
            Term::IfThenElse(cases.collect(), otherwise.map(|inner| Box::new(bounded(*inner))))
        }
        Term::Def(definitions, inner) => {
            Term::Def(definitions.into_iter().map(bounded_definition).collect(), Box::new(bounded(*inner)))
        }
        Term::Call(name, arguments) => {
            Term::Call(name, arguments.into_iter().map(|argument| counted(argument)).collect())
        }
        Term::Path(inner, path) => {
            let part = |part| match part {
                Part::Index(index) => Part::Index(bounded(index)),
                Part::Range(from, to) => Part::Range(from.map(bounded), to.map(bounded)),
            };
            Term::Path(
                Box::new(bounded(*inner)),
                Path(path.0.into_iter().map(|(inner, optional)| (part(inner), optional)).collect()),
            )
        }
    }
}

fn bounded_operation<'s>(left: Term<&'s str>, operator: BinaryOp<&'s str>, right: Term<&'s str>) -> Term<&'s str> {
    match operator {
        BinaryOp::Pipe(pattern) => Term::BinOp(
            Box::new(bounded(left)),
            BinaryOp::Pipe(pattern.map(bounded_pattern)),
            Box::new(ticked(bounded(right))),
        ),
        BinaryOp::Comma => Term::BinOp(Box::new(bounded(left)), BinaryOp::Comma, Box::new(bounded(right))),
        BinaryOp::Math(Math::Mul) => Term::Call(TIMES, vec![counted(left), counted(right)]),
        BinaryOp::UpdateMath(Math::Mul) => {
            let product = Term::Call(TIMES, vec![Term::Id, Term::Var(FACTOR)]);
            let update = Term::BinOp(Box::new(bounded(left)), BinaryOp::Update, Box::new(product));
            Term::BinOp(Box::new(counted(right)), BinaryOp::Pipe(Some(Pattern::Var(FACTOR))), Box::new(update))
        }
        other => Term::BinOp(Box::new(counted(left)), other, Box::new(counted(right))),
    }
}

fn bounded_part<'s>(part: StrPart<&'s str, Term<&'s str>>) -> StrPart<&'s str, Term<&'s str>> {
    match part {
        StrPart::Term(term) => StrPart::Term(counted(term)),
        other => other,
    }
}

fn bounded_member<'s>((key, value): (Term<&'s str>, Option<Term<&'s str>>)) -> (Term<&'s str>, Option<Term<&'s str>>) {
    (if value.is_some() { bounded(key) } else { key }, value.map(|value| counted(value)))
}

fn bounded_pattern(pattern: Pattern<&str>) -> Pattern<&str> {
    match pattern {
        Pattern::Var(name) => Pattern::Var(name),
        Pattern::Arr(elements) => Pattern::Arr(elements.into_iter().map(bounded_pattern).collect()),
        Pattern::Obj(members) => {
            Pattern::Obj(members.into_iter().map(|(key, pattern)| (bounded(key), bounded_pattern(pattern))).collect())
        }
    }
}

/// `term` with its steps counted, each of its outputs as well.
fn counted(term: Term<&str>) -> Term<&str> {
    guarded(bounded(term))
}

/// `term`, each of whose outputs is a step.
fn guarded(term: Term<&str>) -> Term<&str> {
    match term {
        Term::Id | Term::Num(_) | Term::Var(_) => term,
        term => Term::BinOp(Box::new(term), BinaryOp::Pipe(None), Box::new(ticked(Term::Id))),
    }
}

/// `term`, each of whose inputs is a step. By way of a variable, since that leaves paths as they are.
fn ticked(term: Term<&str>) -> Term<&str> {
    let tick = Box::new(Term::Call(TICK, Vec::new()));
    Term::BinOp(tick, BinaryOp::Pipe(Some(Pattern::Var(TICKED))), Box::new(term))
}
