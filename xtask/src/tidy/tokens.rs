//! Rust files as tokens: comments, strings and layout are gone, lines are kept.
//!
//! Tokens instead of syntax trees: they are the same in macros as outside, and every rule is a short search.

use std::iter::Peekable;

use proc_macro2::token_stream::IntoIter;
use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

/// A word or a punctuation mark; delimiters are marks as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// From 1.
    pub(crate) line: usize,
}

/// Names joined by `::`; those in the braces of a `use` are given one by one, in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamePath {
    pub(crate) segments: Vec<String>,
    /// Where its last segment stands.
    pub(crate) line: usize,
}

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Line of `fn`.
    pub(crate) from: usize,
    /// Line of the closing brace (inclusive).
    pub(crate) through: usize,
}

/// A file without its items under `#[cfg(test)]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shipped {
    pub(crate) stream: TokenStream,
    /// Modules declared under `#[cfg(test)]` whose body is in another file.
    pub(crate) test_modules: Vec<String>,
}

/// Leaves out what only tests compile.
pub(crate) fn shipped(stream: TokenStream) -> Shipped {
    let mut kept = Shipped::default();
    let mut rest = stream.into_iter().peekable();
    while let Some(token) = rest.next() {
        match attribute(&token, &mut rest) {
            Some((inner, attribute)) if is_cfg_test(&attribute) => {
                if inner {
                    break;
                }
                kept.test_modules.extend(skip_item(&mut rest));
            }
            Some((_, attribute)) => kept.stream.extend([token, TokenTree::Group(attribute)]),
            None => kept.keep(token),
        }
    }
    kept
}

impl Shipped {
    fn keep(&mut self, token: TokenTree) {
        let TokenTree::Group(group) = token else { return self.stream.extend([token]) };
        let inside = shipped(group.stream());
        self.test_modules.extend(inside.test_modules);
        let mut kept = Group::new(group.delimiter(), inside.stream);
        kept.set_span(group.span());
        self.stream.extend([TokenTree::Group(kept)]);
    }
}

/// The `[...]` of an attribute that starts with `token`, and whether it is an inner one (`#![...]`).
fn attribute(token: &TokenTree, rest: &mut Peekable<IntoIter>) -> Option<(bool, Group)> {
    if !is_mark(token, '#') {
        return None;
    }
    let inner = rest.next_if(|next| is_mark(next, '!')).is_some();
    let is_brackets =
        |next: &TokenTree| matches!(next, TokenTree::Group(g) if g.delimiter() == Delimiter::Bracket);
    match rest.next_if(is_brackets) {
        Some(TokenTree::Group(group)) => Some((inner, group)),
        _ => None,
    }
}

/// Whether an attribute is `cfg(test)` or `cfg(all(.., test, ..))`.
fn is_cfg_test(attribute: &Group) -> bool {
    let words = flat(&attribute.stream());
    let words: Vec<_> = words.iter().map(|token| token.text.as_str()).collect();
    match words.as_slice() {
        ["cfg", "(", "test", ")"] => true,
        ["cfg", "(", "all", "(", rest @ ..] => {
            rest.contains(&"test") && !rest.contains(&"not") && !rest.contains(&"any")
        }
        _ => false,
    }
}

/// Skips further attributes and one item: through its body or its semicolon. Gives the name of a `mod name;`.
fn skip_item(rest: &mut Peekable<IntoIter>) -> Option<String> {
    let mut words = Vec::new();
    for token in rest {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return None,
            TokenTree::Punct(mark) if mark.as_char() == ';' => {
                let at = words.iter().position(|word| word == "mod")?;
                return words.get(at + 1).cloned();
            }
            TokenTree::Ident(word) => words.push(word.to_string()),
            _ => {}
        }
    }
    None
}

/// All words and marks, one after the other; literals are left out.
pub(crate) fn flat(stream: &TokenStream) -> Vec<Token> {
    let mut tokens = Vec::new();
    for token in stream.clone() {
        let line = token.span().start().line;
        match token {
            TokenTree::Ident(word) => tokens.push(Token { text: word.to_string(), line }),
            TokenTree::Punct(mark) => tokens.push(Token { text: mark.as_char().to_string(), line }),
            TokenTree::Literal(_) => {}
            TokenTree::Group(group) => {
                let (open, close) = delimiters(group.delimiter());
                tokens.push(Token { text: open.to_owned(), line });
                tokens.extend(flat(&group.stream()));
                tokens.push(Token { text: close.to_owned(), line: group.span_close().start().line });
            }
        }
    }
    tokens
}

const fn delimiters(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

/// The lines where `words` follow one another.
pub(crate) fn find<'a>(tokens: &'a [Token], words: &'a [&'a str]) -> impl Iterator<Item = usize> + 'a {
    let matches = move |window: &&[Token]| window.iter().zip(words).all(|(token, word)| token.text == *word);
    tokens.windows(words.len()).filter(matches).map(|window| window[0].line)
}

/// Every function that has a body, also those inside others.
pub(crate) fn functions(stream: &TokenStream) -> Vec<Function> {
    let tokens: Vec<_> = stream.clone().into_iter().collect();
    let mut functions = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => functions.extend(self::functions(&group.stream())),
            TokenTree::Ident(word) if word == "fn" => {
                let Some(TokenTree::Ident(name)) = tokens.get(at + 1) else { continue };
                let Some(body) = body(&tokens[at..]) else { continue };
                let (from, through) = (word.span().start().line, body.span_close().start().line);
                functions.push(Function { name: name.to_string(), from, through });
            }
            _ => {}
        }
    }
    functions
}

/// The first braces, unless a semicolon comes before them.
fn body(tokens: &[TokenTree]) -> Option<&Group> {
    for token in tokens {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return Some(group),
            token if is_mark(token, ';') => return None,
            _ => {}
        }
    }
    None
}

/// Every path, in expressions, types, `use` trees and macros. A name by itself is a path of one segment.
pub(crate) fn paths(stream: &TokenStream) -> Vec<NamePath> {
    let mut walk =
        PathWalk { prefix: Vec::new(), path: Vec::new(), joined: false, line: 0, found: Vec::new() };
    walk.run(stream);
    walk.found
}

/// The state of [`paths`] in one group of tokens.
struct PathWalk {
    /// What stands before the braces of a `use`.
    prefix: Vec<String>,
    path: Vec<String>,
    /// Whether the next name belongs to `path`.
    joined: bool,
    line: usize,
    found: Vec<NamePath>,
}

impl PathWalk {
    fn run(&mut self, stream: &TokenStream) {
        self.restart();
        let mut rest = stream.clone().into_iter().peekable();
        while let Some(token) = rest.next() {
            match token {
                TokenTree::Ident(word) => self.name(word.to_string(), word.span().start().line),
                TokenTree::Punct(mark) if mark.as_char() == ':' && mark.spacing() == Spacing::Joint => {
                    self.joined = rest.next_if(|next| is_mark(next, ':')).is_some();
                }
                TokenTree::Punct(mark) if mark.as_char() == ',' => {
                    self.end_path();
                    self.restart();
                }
                TokenTree::Group(group) => self.group(&group),
                TokenTree::Punct(_) | TokenTree::Literal(_) => self.end_path(),
            }
        }
        self.end_path();
    }

    fn name(&mut self, name: String, line: usize) {
        if !self.joined {
            self.end_path();
        }
        self.path.push(name);
        self.joined = false;
        self.line = line;
    }

    fn group(&mut self, group: &Group) {
        let tree = self.joined && group.delimiter() == Delimiter::Brace;
        if !tree {
            self.end_path();
        }
        let prefix = std::mem::take(&mut self.path);
        let mut inside = Self { prefix, path: Vec::new(), joined: false, line: 0, found: Vec::new() };
        inside.run(&group.stream());
        self.found.append(&mut inside.found);
        self.joined = false;
    }

    fn restart(&mut self) {
        self.path.clone_from(&self.prefix);
        self.joined = !self.prefix.is_empty();
    }

    fn end_path(&mut self) {
        let segments = std::mem::take(&mut self.path);
        if segments.len() > self.prefix.len() || (self.prefix.is_empty() && !segments.is_empty()) {
            self.found.push(NamePath { segments, line: self.line });
        }
        self.joined = false;
    }
}

fn is_mark(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

#[cfg(test)]
mod tests;
