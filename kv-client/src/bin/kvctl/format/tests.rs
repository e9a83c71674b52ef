use super::*;

#[test]
fn a_cell_shows_any_bytes_on_one_short_line() {
    assert_eq!(cell("naïve\ttab\n".as_bytes()), "naïve\\ttab\\n");
    assert_eq!(cell(b"\xff\x00a"), "\\xff\\x00a");
    assert_eq!(cell("é".repeat(60).as_bytes()), "é".repeat(60));
    assert_eq!(cell("é".repeat(61).as_bytes()), format!("{}…", "é".repeat(60)));
}

#[test]
fn a_table_is_aligned_and_has_no_trailing_blanks() {
    let rows = [["long name", "1"], ["x", ""]].map(|row| row.map(str::to_owned));
    assert_eq!(table(["NAME", "N"], rows), "NAME       N\nlong name  1\nx");
}
