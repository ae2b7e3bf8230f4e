//! The program as a person in a shell meets it; what it does with deliveries is tried by the tests of the
//! service, which start this program and two others.

use std::process::Command;

#[test]
fn without_a_secret_it_says_what_is_missing() {
    let program = env!("CARGO_BIN_EXE_bellwether-example");
    let output = Command::new(program).env_remove("WEBHOOK_SECRET").output().expect("it was built");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("WEBHOOK_SECRET is not set; hint: "), "{said}");
}
