//! Reading tables key by key, so that every mistake is reported and every key that nobody asked for is found.

use super::nearest::nearest;
use super::values::Value;
use crate::problem::{Excerpt, Location, Problem};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Bytes of the file.
pub(super) type Span = Range<usize>;

/// The file that is read, with the problems found so far.
pub(super) struct Sheet<'a> {
    text: &'a str,
    /// Whether it is no TOML, so that a key that seems to be missing may be on a line that could not be read.
    broken: bool,
    problems: RefCell<Vec<(usize, Problem)>>,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(text: &'a str, broken: bool) -> Self {
        Self { text, broken, problems: RefCell::default() }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Records what is wrong at `span`.
    pub(super) fn report(&self, span: &Span, message: String, help: impl Into<Option<String>>) {
        let excerpt = Some(Excerpt::of(self.text, span.clone()));
        self.problems.borrow_mut().push((span.start, Problem { message, help: help.into(), excerpt }));
    }

    /// Records what is wrong with the file as a whole.
    pub(super) fn report_file(&self, message: String, help: String) {
        let problem = Problem { message, help: Some(help), excerpt: None };
        self.problems.borrow_mut().push((0, problem));
    }

    pub(super) fn line(&self, span: &Span) -> usize {
        Excerpt::of(self.text, span.clone()).location.line
    }

    /// Every problem, in the file's order. What follows from a syntax error on the same line is left out.
    pub(super) fn into_problems(self, syntax: Vec<(Span, String)>) -> Vec<Problem> {
        let broken: Vec<usize> = syntax.iter().map(|(span, _)| self.line(span)).collect();
        let line = |problem: &Problem| problem.excerpt.as_ref().map(|excerpt| excerpt.location.line);
        self.problems
            .borrow_mut()
            .retain(|(_, problem)| !line(problem).is_some_and(|at| broken.contains(&at)));
        for (span, message) in syntax {
            let help = syntax_help(&message).map(str::to_owned);
            self.report(&span, message, help);
        }
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|(at, _)| *at);
        problems.into_iter().map(|(_, problem)| problem).collect()
    }

    /// Where each key stands, by its dotted path.
    pub(super) fn locations(&self, root: &DeTable<'_>) -> BTreeMap<String, Location> {
        let mut locations = BTreeMap::new();
        self.locate(root, "", &mut locations);
        locations
    }

    fn locate(&self, table: &DeTable<'_>, path: &str, into: &mut BTreeMap<String, Location>) {
        for (key, value) in table.iter() {
            let path = join(path, key.get_ref());
            into.insert(path.clone(), Excerpt::of(self.text, key.span()).location);
            match value.get_ref() {
                DeValue::Table(table) => self.locate(table, &path, into),
                DeValue::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        let path = format!("{path}.{index}");
                        into.insert(path.clone(), Excerpt::of(self.text, item.span()).location);
                        if let DeValue::Table(table) = item.get_ref() {
                            self.locate(table, &path, into);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// What usually lies behind a message of the TOML parser, whose own words assume that one knows TOML.
fn syntax_help(message: &str) -> Option<&'static str> {
    if message.contains("duplicate") {
        return Some("each name stands once; remove or rename one");
    }
    let unquoted = ["quoted", "invalid", "nothing"].iter().any(|word| message.contains(word));
    unquoted.then_some("text, addresses and versions stand in quotes, such as: address = \"10.0.0.10\"")
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A value with its key.
pub(super) struct Entry<'a> {
    pub(super) sheet: &'a Sheet<'a>,
    /// Its key as the reader knows it, such as `address`.
    pub(super) key: String,
    /// Where the key stands.
    pub(super) key_span: Span,
    /// Where the value stands.
    pub(super) span: Span,
    pub(super) value: &'a DeValue<'a>,
}

impl<'a> Entry<'a> {
    /// Records that the value cannot be used.
    pub(super) fn reject(&self, message: String, help: impl Into<Option<String>>) {
        self.sheet.report(&self.span, message, help);
    }

    /// Records that the value is of another type.
    pub(super) fn mismatch(&self, expected: &str) {
        self.reject(format!("`{}` must be {expected}, not {}", self.key, kind(self.value)), None);
    }

    /// The text of a string; anything else is a mistake.
    pub(super) fn text(&self, expected: &str) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text.as_ref()),
            _ => {
                self.mismatch(expected);
                None
            }
        }
    }

    /// The items of a list; anything else is a mistake.
    pub(super) fn items(&self) -> Option<Vec<Entry<'a>>> {
        let DeValue::Array(items) = self.value else {
            self.mismatch("a list");
            return None;
        };
        Some(items.iter().map(|item| self.item(item)).collect())
    }

    fn item(&self, item: &'a Spanned<DeValue<'a>>) -> Entry<'a> {
        Entry {
            sheet: self.sheet,
            key: self.key.clone(),
            key_span: self.key_span.clone(),
            span: item.span(),
            value: item.get_ref(),
        }
    }

    /// The value as a table; anything else is a mistake.
    pub(super) fn section(&self, path: String) -> Option<Section<'a>> {
        let DeValue::Table(table) = self.value else {
            self.mismatch("a table");
            return None;
        };
        let span = self.span.clone();
        Some(Section { sheet: self.sheet, path, span, table: Some(table), known: RefCell::default() })
    }
}

/// What a value is, for people.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A table that is being read. Whoever asks for a key makes it known; [`Section::finish`] reports the others.
pub(super) struct Section<'a> {
    pub(super) sheet: &'a Sheet<'a>,
    /// Dotted path, empty for the file itself.
    path: String,
    /// Its header.
    pub(super) span: Span,
    /// None where the file does not have it.
    table: Option<&'a DeTable<'a>>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// The file itself.
    pub(super) fn root(sheet: &'a Sheet<'a>, table: &'a DeTable<'a>) -> Self {
        Self { sheet, path: String::new(), span: 0..0, table: Some(table), known: RefCell::default() }
    }

    /// How people call it.
    pub(super) fn title(&self) -> String {
        if self.path.is_empty() { "the file".to_owned() } else { format!("[{}]", self.path) }
    }

    /// The value of `key`, if the file has it.
    pub(super) fn entry(&self, key: &'static str) -> Option<Entry<'a>> {
        if !self.known.borrow().contains(&key) {
            self.known.borrow_mut().push(key);
        }
        self.entries().into_iter().find(|entry| entry.key == key)
    }

    /// Every entry, in the file's order.
    pub(super) fn entries(&self) -> Vec<Entry<'a>> {
        let table = self.table.into_iter().flat_map(|table| table.iter());
        let mut entries: Vec<Entry<'a>> = table
            .map(|(key, value)| Entry {
                sheet: self.sheet,
                key: key.get_ref().to_string(),
                key_span: key.span(),
                span: value.span(),
                value: value.get_ref(),
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_span.start);
        entries
    }

    /// The value of `key`; none if the file does not have it or it is wrong, which is then reported.
    pub(super) fn get<T: Value>(&self, key: &'static str) -> Option<T> {
        T::read(&self.entry(key)?)
    }

    /// Like [`Section::get`], with the place of the value.
    pub(super) fn located<T: Value>(&self, key: &'static str) -> Option<(T, Span)> {
        let entry = self.entry(key)?;
        Some((T::read(&entry)?, entry.span))
    }

    /// The value of `key`, or `default` if the file does not have it.
    pub(super) fn or<T: Value>(&self, key: &'static str, default: T) -> T {
        self.get(key).unwrap_or(default)
    }

    /// The value of `key`; its absence is reported, with `example` of how it could look.
    pub(super) fn require<T: Value>(&self, key: &'static str, example: &str) -> Option<T> {
        self.require_located(key, example).map(|(value, _)| value)
    }

    /// Like [`Section::require`], with the place of the value.
    pub(super) fn require_located<T: Value>(&self, key: &'static str, example: &str) -> Option<(T, Span)> {
        if self.table.is_none_or(|table| !table.iter().any(|(found, _)| found.get_ref() == key)) {
            self.missing(key, example);
        }
        self.located(key)
    }

    /// Records that `key` is missing.
    pub(super) fn missing(&self, key: &'static str, example: &str) {
        if self.sheet.broken || self.misspells(key) {
            return;
        }
        let message = format!("{} has no `{key}`", self.title());
        let help = format!("expected such as: {example}");
        match self.path.is_empty() {
            true => self.sheet.report_file(message, help),
            false => self.sheet.report(&self.span, message, help),
        }
    }

    /// Whether a key stands there that is `key` but for a slip; it is then reported as unknown.
    pub(super) fn misspells(&self, key: &'static str) -> bool {
        self.entries()
            .iter()
            .any(|entry| entry.key != key && nearest(&entry.key, [key].into_iter()).is_some())
    }

    /// The table `key`; as an empty one if the file does not have it.
    pub(super) fn section(&self, key: &'static str) -> Section<'a> {
        self.optional_section(key).unwrap_or_else(|| Section {
            sheet: self.sheet,
            path: join(&self.path, key),
            span: self.span.clone(),
            table: None,
            known: RefCell::default(),
        })
    }

    /// The table `key`, if the file has it.
    pub(super) fn optional_section(&self, key: &'static str) -> Option<Section<'a>> {
        self.entry(key)?.section(join(&self.path, key))
    }

    /// Whether the file has this table.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Reports every key that nobody asked for, with the nearest one that exists.
    pub(super) fn finish(self) {
        self.report_unknown();
    }

    /// Like [`Section::finish`], for a table that is still borrowed.
    pub(super) fn report_unknown(&self) {
        let known = self.known.borrow();
        for entry in self.entries().iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let near = nearest(&entry.key, known.iter().copied());
            let guess = near.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
            let expected = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let message = format!("unknown key `{}` in {}", entry.key, self.title());
            let help = format!("{guess}{} has {expected}", self.title());
            self.sheet.report(&entry.key_span, message, help);
        }
    }
}
