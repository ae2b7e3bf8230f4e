//! Single variables of this process's environment, for commands that take a
//! secret: an argument would show it to every user of the machine.

use secrecy::SecretString;

/// The variable's value; `None` if it is not set, is empty, or is not UTF-8.
pub fn variable(name: &str) -> Option<SecretString> {
    let value = std::env::var_os(name)?.into_string().ok()?;
    (!value.is_empty()).then(|| value.into())
}
