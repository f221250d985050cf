//! Label selectors: `a=b, c!=d, e in (f,g), h notin (i), j, !k, l>1, m<2`.

use crate::meta;
use serde_json::Value;
use std::collections::BTreeSet;

/// A parsed label selector. Every requirement has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    Absent,
    Greater(i64),
    Less(i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Op(&'static str),
    End,
}

impl LabelSelector {
    /// Parses a selector; an empty one selects everything.
    ///
    /// # Errors
    /// The text of the 400 that the API server answers.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fail = |why: String| format!("unable to parse requirement: {why}");
        let mut parser = Parser::new(text).map_err(fail)?;
        parser.requirements().map(|requirements| Self { requirements }).map_err(fail)
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether an object's labels match.
    pub fn matches(&self, object: &Value) -> bool {
        if self.is_empty() {
            return true;
        }
        let labels = meta::field(object, "labels");
        self.requirements.iter().all(|r| {
            let value = labels.and_then(|l| l.get(&r.key)).and_then(Value::as_str);
            r.test.holds(value)
        })
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|v| v.parse::<i64>().ok());
        match self {
            Self::In(set) => value.is_some_and(|v| set.contains(v)),
            Self::NotIn(set) => value.is_none_or(|v| !set.contains(v)),
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
            Self::Greater(bound) => number().is_some_and(|n| n > *bound),
            Self::Less(bound) => number().is_some_and(|n| n < *bound),
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

fn quoted(token: &Token) -> String {
    match token {
        Token::Word(w) => format!("'{w}'"),
        Token::Op(o) => format!("'{o}'"),
        Token::End => "''".to_owned(),
    }
}

impl Parser {
    fn new(text: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(&c) = chars.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' => {
                    chars.next();
                }
                '(' | ')' | ',' | '<' | '>' => {
                    chars.next();
                    tokens.push(Token::Op(match c {
                        '(' => "(",
                        ')' => ")",
                        ',' => ",",
                        '<' => "<",
                        _ => ">",
                    }));
                }
                '=' => {
                    chars.next();
                    if chars.peek() == Some(&'=') {
                        chars.next();
                        tokens.push(Token::Op("=="));
                    } else {
                        tokens.push(Token::Op("="));
                    }
                }
                '!' => {
                    chars.next();
                    if chars.peek() == Some(&'=') {
                        chars.next();
                        tokens.push(Token::Op("!="));
                    } else {
                        tokens.push(Token::Op("!"));
                    }
                }
                _ => {
                    let mut word = String::new();
                    while let Some(&c) = chars.peek() {
                        if " \t\r\n(),<>=!".contains(c) {
                            break;
                        }
                        word.push(c);
                        chars.next();
                    }
                    tokens.push(Token::Word(word));
                }
            }
        }
        tokens.push(Token::End);
        Ok(Self { tokens, at: 0 })
    }

    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, String> {
        let mut out = Vec::new();
        loop {
            match self.peek() {
                Token::End => return Ok(out),
                Token::Word(_) | Token::Op("!") => out.push(self.requirement()?),
                other => {
                    return Err(format!("found {}, expected: !, identifier, or 'end of string'", quoted(other)));
                }
            }
            match self.next() {
                Token::End => return Ok(out),
                Token::Op(",") => match self.peek() {
                    Token::Word(_) | Token::Op("!") => {}
                    other => return Err(format!("found {}, expected: identifier after ','", quoted(other))),
                },
                other => return Err(format!("found {}, expected: ',' or 'end of string'", quoted(&other))),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let negated = *self.peek() == Token::Op("!");
        if negated {
            self.next();
        }
        let key = match self.next() {
            Token::Word(key) => key,
            other => return Err(format!("found {}, expected: identifier", quoted(&other))),
        };
        super::super::names::qualified_name(&key)
            .first()
            .map_or(Ok(()), |why| Err(format!("<nil>: Invalid value: \"{key}\": {why}")))?;
        if negated {
            return Ok(Requirement { key, test: Test::Absent });
        }
        if matches!(self.peek(), Token::End | Token::Op(",")) {
            return Ok(Requirement { key, test: Test::Exists });
        }
        let test = match self.next() {
            Token::Op("=" | "==") => Test::In(BTreeSet::from([self.exact_value()?])),
            Token::Op("!=") => Test::NotIn(BTreeSet::from([self.exact_value()?])),
            Token::Op(">") => Test::Greater(self.number(">")?),
            Token::Op("<") => Test::Less(self.number("<")?),
            Token::Word(word) if word == "in" => Test::In(self.values()?),
            Token::Word(word) if word == "notin" => Test::NotIn(self.values()?),
            other => {
                return Err(format!("found {}, expected: in, notin, =, ==, !=, gt, lt", quoted(&other)));
            }
        };
        if let Test::In(values) | Test::NotIn(values) = &test {
            for value in values {
                if let Some(why) = super::super::names::label_value(value).first() {
                    return Err(format!("values[0][{key}]: Invalid value: \"{value}\": {why}"));
                }
            }
        }
        Ok(Requirement { key, test })
    }

    fn exact_value(&mut self) -> Result<String, String> {
        match self.peek() {
            Token::End | Token::Op(",") => Ok(String::new()),
            Token::Word(_) => match self.next() {
                Token::Word(word) => Ok(word),
                _ => Ok(String::new()),
            },
            other => Err(format!("found {}, expected: identifier", quoted(other))),
        }
    }

    fn number(&mut self, op: &str) -> Result<i64, String> {
        let word = self.exact_value()?;
        word.parse().map_err(|_| {
            format!(
                "values[0]: Invalid value: \"{word}\": for 'Gt', 'Lt' operators, the value must be an integer ({op})"
            )
        })
    }

    fn values(&mut self) -> Result<BTreeSet<String>, String> {
        if self.next() != Token::Op("(") {
            self.at -= 1;
            return Err(format!("found {} expected: '('", quoted(self.peek())));
        }
        let mut values = BTreeSet::new();
        loop {
            match self.next() {
                Token::Word(word) => {
                    values.insert(word);
                    match self.next() {
                        Token::Op(",") => {
                            if *self.peek() == Token::Op(")") {
                                values.insert(String::new());
                            }
                        }
                        Token::Op(")") => return Ok(values),
                        other => return Err(format!("found {}, expected: ',' or ')'", quoted(&other))),
                    }
                }
                Token::Op(")") => {
                    values.insert(String::new());
                    return Ok(values);
                }
                Token::Op(",") => {
                    values.insert(String::new());
                }
                other => return Err(format!("found {}, expected: ',', ')' or identifier", quoted(&other))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LabelSelector;
    use serde_json::json;

    fn selects(selector: &str, labels: serde_json::Value) -> bool {
        LabelSelector::parse(selector).unwrap().matches(&json!({ "metadata": { "labels": labels } }))
    }

    #[test]
    fn every_operator_selects_as_apimachinery_does() {
        let labels = json!({"app": "web", "tier": "front", "n": "5", "empty": ""});
        for (selector, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app!=web", false),
            ("absent!=web", true),
            ("app in (web, db)", true),
            ("app notin (web)", false),
            ("absent notin (web)", true),
            ("app", true),
            ("!app", false),
            ("!absent", true),
            ("n>4", true),
            ("n>5", false),
            ("n<6,app in (web)", true),
            ("empty=", true),
            ("absent=", false),
            ("app in (web),tier notin (back),n", true),
            ("empty in (,x)", true),
        ] {
            assert_eq!(selects(selector, labels.clone()), expected, "{selector}");
        }
    }

    #[test]
    fn malformed_selectors_are_refused() {
        for selector in ["a=b=c", "a in b", "a in (b", ",", "a,,b", "a>x", "!", "a b", "-a=b"] {
            assert!(LabelSelector::parse(selector).is_err(), "{selector}");
        }
    }
}
