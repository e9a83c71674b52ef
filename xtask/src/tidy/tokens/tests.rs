use super::*;

fn lex(text: &str) -> TokenStream {
    text.parse().unwrap()
}

fn path_texts(text: &str) -> Vec<String> {
    paths(&lex(text)).into_iter().map(|path| path.segments.join("::")).collect()
}

#[test]
fn use_trees_are_spelled_out() {
    let found = path_texts("use std::{fs, net::{TcpStream, UdpSocket as U}, io::*};");
    for path in ["std::fs", "std::net::TcpStream", "std::net::UdpSocket", "std::io"] {
        assert!(found.iter().any(|found| found == path), "{path} in {found:?}");
    }
}

#[test]
fn paths_are_found_in_types_expressions_and_macros_but_not_in_text() {
    let text = r#"
        /// See std::net.
        fn f(file: Vec<std::fs::File>) -> u8 { vec![crate::types::Term(1)]; "std::thread"; a.b::<super::C>() }
    "#;
    let found = path_texts(text);
    for path in ["std::fs::File", "crate::types::Term", "super::C"] {
        assert!(found.iter().any(|found| found == path), "{path} in {found:?}");
    }
    assert!(!found.iter().any(|path| path.contains("net") || path.contains("thread")), "{found:?}");
}

#[test]
fn a_path_tells_the_line_of_its_last_name() {
    let found = paths(&lex("use crate::{\n    a,\n    b::c,\n};"));
    let lines: Vec<_> =
        found.iter().filter(|path| path.segments[0] == "crate").map(|path| path.line).collect();
    assert_eq!(lines, [2, 3]);
}

#[test]
fn items_under_cfg_test_are_left_out_and_their_files_named() {
    let text = "
        #[cfg(test)] #[derive(Debug)] struct OnlyTests { a: u8 }
        #[cfg(test)] mod tests;
        #[cfg(all(test, unix))] use a::b;
        impl Kept { #[cfg(test)] fn gone() {} fn kept() {} }
        #[cfg(not(test))] fn also_kept() {}
        #[cfg(feature = \"testing\")] pub mod testing;
        mod inner { #[cfg(test)] mod cases; }
    ";
    let shipped = shipped(lex(text));
    assert_eq!(shipped.test_modules, ["tests", "cases"]);
    let words: Vec<_> = flat(&shipped.stream).into_iter().map(|token| token.text).collect();
    for gone in ["OnlyTests", "gone", "b", "cases"] {
        assert!(!words.iter().any(|word| word == gone), "{gone} in {words:?}");
    }
    for kept in ["Kept", "kept", "also_kept", "testing"] {
        assert!(words.iter().any(|word| word == kept), "{kept} in {words:?}");
    }
}

#[test]
fn a_file_under_an_inner_cfg_test_ships_nothing() {
    assert!(shipped(lex("#![cfg(test)] fn f() {}")).stream.is_empty());
}

#[test]
fn functions_tell_their_first_and_last_line_and_need_a_body() {
    let text = "trait T {\n fn declared() -> [u8; 3];\n fn given(\n a: u8,\n ) {\n }\n}\nfn outer() {\n fn inner() {}\n}";
    let lines: Vec<_> = functions(&lex(text))
        .into_iter()
        .map(|function| (function.name, function.from, function.through))
        .collect();
    let expected = [("given", 3, 6), ("outer", 8, 10), ("inner", 9, 9)];
    assert_eq!(lines.len(), expected.len());
    for (name, from, through) in expected {
        assert!(lines.contains(&(name.to_owned(), from, through)), "{name} in {lines:?}");
    }
}

#[test]
fn a_sequence_is_found_across_lines_and_not_in_comments() {
    let tokens = flat(&lex("a\n  .unwrap\n  (); // b.unwrap()\nc.unwrap_or(1);"));
    assert_eq!(find(&tokens, &[".", "unwrap", "("]).collect::<Vec<_>>(), [2]);
}
