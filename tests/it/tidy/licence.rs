//! Licence expressions as packages state them (SPDX), judged against a list.

/// Whether the expression can be fulfilled with licences of the list alone.
/// `MIT/Apache-2.0` is the old way to write `OR`. What can't be read is refused.
pub fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, allowed };
    let verdict = reader.either();
    verdict == Some(true) && reader.words.is_empty()
}

struct Reader<'a> {
    words: &'a [&'a str],
    allowed: &'a [&'a str],
}

impl<'a> Reader<'a> {
    fn either(&mut self) -> Option<bool> {
        let mut verdict = self.all()?;
        while self.take_if("OR") {
            verdict |= self.all()?;
        }
        Some(verdict)
    }

    /// `AND` binds more strongly than `OR`.
    fn all(&mut self) -> Option<bool> {
        let mut verdict = self.one()?;
        while self.take_if("AND") {
            verdict &= self.one()?;
        }
        Some(verdict)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take_if("(") {
            let verdict = self.either()?;
            return self.take_if(")").then_some(verdict);
        }
        let licence = self.take()?;
        let exception = if self.take_if("WITH") { Some(self.take()?) } else { None };
        let name = exception.map_or(licence.to_owned(), |exception| format!("{licence} WITH {exception}"));
        Some(self.allowed.contains(&name.as_str()))
    }

    fn take(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn take_if(&mut self, word: &str) -> bool {
        let is_next = self.words.first() == Some(&word);
        if is_next {
            self.take();
        }
        is_next
    }
}

#[test]
fn expressions_are_judged_by_their_structure() {
    let allowed =
        |expression| is_allowed(expression, &["MIT", "Apache-2.0", "ISC", "GPL-2.0 WITH exception"]);
    for good in [
        "MIT",
        "GPL-3.0 OR MIT",
        "Unlicense/MIT",
        "Apache-2.0 / MIT",
        "MIT AND ISC",
        "(GPL-3.0 OR MIT) AND ISC",
        "GPL-3.0 AND ISC OR MIT",
        "GPL-2.0 WITH exception",
    ] {
        assert!(allowed(good), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "MIT OR",
        "(MIT",
        "MIT)",
        "MIT ISC",
        "MIT WITH exception",
        "MIT AND (GPL-3.0 OR LGPL-3.0)",
        "mit",
    ] {
        assert!(!allowed(bad), "{bad}");
    }
}
