use super::*;

#[test]
fn words_are_quoted_only_where_a_shell_would_read_them_otherwise() {
    for (word, expected) in [
        ("127.0.0.1:7101,127.0.0.1:7102", "127.0.0.1:7101,127.0.0.1:7102"),
        ("", "''"),
        ("-D warnings", "'-D warnings'"),
        ("it's", r"'it'\''s'"),
        ("$HOME", "'$HOME'"),
    ] {
        assert_eq!(quoted(word), expected);
    }
}

#[test]
fn a_command_is_shown_as_one_would_type_it() {
    let mut command = Command::new("/somewhere/bin/cargo");
    command.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--no-deps"]);
    assert_eq!(typed(&command), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps");
}

#[test]
fn a_path_below_the_current_folder_is_shown_relative_to_it() {
    let here = std::env::current_dir().unwrap();
    assert_eq!(shown(&here.join("a/b")), "a/b");
    assert_eq!(shown(Path::new("/a/b")), "/a/b");
}

#[test]
fn a_command_that_fails_is_an_error_that_names_it() {
    let error = run(&mut Command::new("false")).unwrap_err().to_string();
    assert_eq!(error, "`false` failed: exit status: 1");
}
