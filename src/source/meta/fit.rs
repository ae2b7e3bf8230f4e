//! Members of a value that a model asks for. Absent is one thing, of the wrong
//! kind another: the second means that the model does not fit the value, which
//! is then passed on untouched instead of bent.

use super::super::json::Json;

/// The value is not what the model expects.
#[derive(Debug, PartialEq, Eq)]
pub struct Misfit;

/// A string, or a whole number's digits, if it is there.
pub fn text<'a>(value: &'a Json<'_>, name: &str) -> Result<Option<&'a str>, Misfit> {
    let Some(member) = value.member(name) else {
        return Ok(None);
    };
    member.text().or(member.digits()).map(Some).ok_or(Misfit)
}

/// A string that must be there.
pub fn required<'a>(value: &'a Json<'_>, name: &str) -> Result<&'a str, Misfit> {
    text(value, name)?.ok_or(Misfit)
}

/// An object, if it is there.
pub fn object<'a, 'b>(value: &'a Json<'b>, name: &str) -> Result<Option<&'a Json<'b>>, Misfit> {
    match value.member(name) {
        None => Ok(None),
        Some(member @ Json::Object(_)) => Ok(Some(member)),
        Some(Json::Text(_) | Json::Number(_) | Json::Plain(_) | Json::List(_)) => Err(Misfit),
    }
}

/// An array's items, none if it is not there.
pub fn list<'a, 'b>(value: &'a Json<'b>, name: &str) -> Result<&'a [Json<'b>], Misfit> {
    match value.member(name) {
        None => Ok(&[]),
        Some(Json::List(items)) => Ok(items),
        Some(Json::Text(_) | Json::Number(_) | Json::Plain(_) | Json::Object(_)) => Err(Misfit),
    }
}
