//! The form of a script in which only what it does counts: comments, white space, quotes, the names of its local variables
//! and the case of commands are gone, and a variable that only names a key or an argument is replaced by that.
//!
//! Two scripts have one form only if they do the same. A script that this reader does not understand has no form.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    /// A name, a keyword or a number.
    Word(String),
    Text(String),
    Symbol(&'static str),
}

/// Longer ones first.
const SYMBOLS: [&str; 26] = [
    "...", "==", "~=", "<=", ">=", "..", "=", "<", ">", "+", "-", "*", "/", "%", "^", "#", "(", ")", "{", "}", "[",
    "]", ";", ":", ",", ".",
];

/// What Lua takes for white space.
const SPACES: [char; 6] = [' ', '\t', '\n', '\r', '\x0b', '\x0c'];

/// Options of SET, which Redis reads in any case.
const OPTIONS: [&str; 4] = ["px", "ex", "nx", "xx"];

/// More than the scripts of libraries have; what follows takes time by the square of it.
const TOKENS_MAX: usize = 1000;

/// The form of a script; `None` if it cannot be read.
pub fn canonical(script: &str) -> Option<String> {
    let mut tokens = tokens(script)?;
    tokens.retain(|token| *token != Token::Symbol(";"));
    lower_commands(&mut tokens);
    let tokens = rename(&without_aliases(&tokens));
    Some(join(&without_parentheses(&tokens)))
}

fn tokens(script: &str) -> Option<Vec<Token>> {
    let (mut rest, mut tokens) = (script.trim_start_matches(SPACES), Vec::new());
    while let Some(first) = rest.chars().next() {
        if tokens.len() >= TOKENS_MAX {
            return None;
        }
        let length = if let Some(comment) = rest.strip_prefix("--") {
            comment_bytes(comment)? + 2
        } else if first == '\'' || first == '"' {
            let text = quoted(&rest[1..], first)?;
            tokens.push(Token::Text(text.to_owned()));
            text.len() + 2
        } else if is_word(first) {
            let length = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..length].to_owned()));
            length
        } else {
            let symbol = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol))?;
            tokens.push(Token::Symbol(symbol));
            symbol.len()
        };
        rest = rest[length..].trim_start_matches(SPACES);
    }
    Some(tokens)
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Comments of several lines are rare, and not read.
fn comment_bytes(comment: &str) -> Option<usize> {
    let is_long = comment.strip_prefix('[').is_some_and(|rest| rest.starts_with(['[', '=']));
    (!is_long).then(|| comment.find(['\n', '\r']).unwrap_or(comment.len()))
}

/// A text without escapes up to its quote.
fn quoted(rest: &str, quote: char) -> Option<&str> {
    let text = rest.split(quote).next().filter(|text| text.len() < rest.len())?;
    (!text.contains(['\\', '\n', '\r'])).then_some(text)
}

fn word(token: Option<&Token>) -> Option<&str> {
    match token {
        Some(Token::Word(word)) => Some(word),
        _ => None,
    }
}

fn is_symbol(token: Option<&Token>, symbol: &str) -> bool {
    matches!(token, Some(Token::Symbol(known)) if *known == symbol)
}

/// `redis.pcall("GET"` as `redis.call('get'`: the script ends at an error either way, because nothing goes on with it.
fn lower_commands(tokens: &mut [Token]) {
    for at in 0..tokens.len() {
        if at >= 2 && word(tokens.get(at - 2)) == Some("redis") && word(tokens.get(at)) == Some("pcall") {
            tokens[at] = Token::Word("call".to_owned());
        }
        let is_command = at >= 2 && word(tokens.get(at - 2)) == Some("call") && is_symbol(tokens.get(at - 1), "(");
        if let Token::Text(text) = &mut tokens[at] {
            let lower = text.to_ascii_lowercase();
            if is_command || OPTIONS.contains(&&*lower) {
                *text = lower;
            }
        }
    }
}

/// Replaces each `local key = KEYS[1]` by what it names, unless the name is used for something else too.
fn without_aliases(tokens: &[Token]) -> Vec<Token> {
    let (mut aliases, mut declarations) = (BTreeMap::new(), Vec::new());
    for at in 0..tokens.len() {
        if let Some((name, meaning)) = alias(&tokens[at..]) {
            declarations.push((at, name));
            aliases.insert(name, meaning);
        }
    }
    let used_otherwise = |name: &str| {
        let assigned = tokens.windows(2).filter(|pair| word(pair.first()) == Some(name) && is_symbol(pair.get(1), "="));
        assigned.count() > 1 || declarations_of(tokens, name) > 1
    };
    aliases.retain(|name, _| !used_otherwise(name));
    let (mut replaced, mut at) = (Vec::new(), 0);
    while let Some(token) = tokens.get(at) {
        let declaration = declarations.iter().find(|(start, name)| *start == at && aliases.contains_key(name));
        match declaration {
            Some(_) => at += DECLARATION_TOKENS,
            None => {
                match word(Some(token)).and_then(|name| aliases.get(name)) {
                    Some(meaning) => replaced.extend_from_slice(meaning),
                    None => replaced.push(token.clone()),
                }
                at += 1;
            }
        }
    }
    replaced
}

/// `local`, the name, `=`, and the four of `KEYS[1]`.
const DECLARATION_TOKENS: usize = 7;

/// How often a name is declared.
fn declarations_of(tokens: &[Token], name: &str) -> usize {
    let is_declarator = |at: &usize| matches!(word(tokens.get(*at)), Some("local" | "for" | "function"));
    (0..tokens.len()).filter(is_declarator).filter(|at| names_after(tokens, *at).any(|other| other == name)).count()
}

/// The name and the meaning of `local name = KEYS[1]`, where that is the whole of it.
fn alias(tokens: &[Token]) -> Option<(&str, &[Token])> {
    let name = word(tokens.get(1)).filter(|_| word(tokens.first()) == Some("local"))?;
    let meaning = tokens.get(3..7).filter(|_| is_symbol(tokens.get(2), "="))?;
    let is_array = matches!(word(meaning.first()), Some("KEYS" | "ARGV"));
    let is_element = is_symbol(meaning.get(1), "[") && is_symbol(meaning.get(3), "]") && word(meaning.get(2)).is_some();
    let ends = !matches!(tokens.get(7), Some(Token::Symbol(_))) && !matches!(word(tokens.get(7)), Some("and" | "or"));
    (is_array && is_element && ends).then_some((name, meaning))
}

/// The names of local variables, functions and their parameters, in order of their declaration.
fn declared(tokens: &[Token]) -> Vec<String> {
    let (mut known, mut names) = (BTreeSet::new(), Vec::new());
    for at in 0..tokens.len() {
        if matches!(word(tokens.get(at)), Some("local" | "for" | "function")) {
            names.extend(names_after(tokens, at).filter(|name| known.insert(*name)).map(str::to_owned));
        }
    }
    names
}

/// The names in a list after `local` or `for`, or of a function and its parameters.
fn names_after(tokens: &[Token], at: usize) -> impl Iterator<Item = &str> {
    let is_function = word(tokens.get(at)) == Some("function");
    let mut follows_word = false;
    let listed = tokens.iter().skip(at + 1).take_while(move |token| {
        let is_listed = match token {
            // Two words in a row: the list has ended.
            Token::Word(word) => !follows_word && !matches!(&**word, "in" | "function"),
            Token::Symbol(symbol) => *symbol == "," || (is_function && *symbol == "("),
            Token::Text(_) => false,
        };
        follows_word = matches!(token, Token::Word(_));
        is_listed
    });
    listed.filter_map(|token| word(Some(token)))
}

/// Names the local variables by numbers, which no name in Lua is.
fn rename(tokens: &[Token]) -> Vec<Token> {
    let numbers: BTreeMap<String, usize> = declared(tokens).into_iter().zip(1..).collect();
    let renamed = |token: &Token| match token {
        Token::Word(word) => Token::Word(numbers.get(word).map_or_else(|| word.clone(), |number| format!("${number}"))),
        other => other.clone(),
    };
    tokens.iter().map(renamed).collect()
}

/// Drops the parentheses around a whole condition.
fn without_parentheses(tokens: &[Token]) -> Vec<Token> {
    let mut dropped = BTreeSet::new();
    for at in 0..tokens.len() {
        let is_condition = matches!(word(tokens.get(at)), Some("if" | "elseif")) && is_symbol(tokens.get(at + 1), "(");
        if is_condition
            && let Some(end) = closing(tokens, at + 1).filter(|end| word(tokens.get(end + 1)) == Some("then"))
        {
            dropped.extend([at + 1, end]);
        }
    }
    let kept = tokens.iter().enumerate().filter(|(at, _)| !dropped.contains(at));
    kept.map(|(_, token)| token.clone()).collect()
}

fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Symbol("(") => depth += 1,
            Token::Symbol(")") if depth == 1 => return Some(at),
            Token::Symbol(")") => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

fn join(tokens: &[Token]) -> String {
    let mut text = String::new();
    let mut follows_word = false;
    for token in tokens {
        let is_word = matches!(token, Token::Word(_));
        if is_word && follows_word {
            text.push(' ');
        }
        follows_word = is_word;
        match token {
            Token::Word(word) => text.push_str(word),
            Token::Text(inner) => {
                text.push('\'');
                text.push_str(&inner.replace('\'', "\""));
                text.push('\'');
            }
            Token::Symbol(symbol) => text.push_str(symbol),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn form_is_the_same_for_all_spellings() {
        let plain = canonical(
            "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
        );
        for other in [
            "if redis.call(\"GET\",KEYS[1])==ARGV[1] then\n  return redis.call(\"Del\",KEYS[1])\nelse\n  return 0\nend\n",
            "-- delete if mine\nif (redis.pcall('get', KEYS[1]) == ARGV[1]) then return redis.call('del', KEYS[1]); else return 0 end",
            "local k = KEYS[1]\nlocal mine = ARGV[1]\nif redis.call('get', k) == mine then return redis.call('del', k) else return 0 end",
        ] {
            assert_eq!(canonical(other), plain, "{other}");
        }
        let one = canonical("local a = redis.call('get', KEYS[1]) for i, key in ipairs(KEYS) do a = i end return a");
        let other =
            canonical("local token=redis.call('get',KEYS[1]) for n,k in ipairs(KEYS) do token=n end return token");
        assert_eq!(one, other);
    }

    #[test]
    fn scripts_that_do_other_things_have_other_forms() {
        let texts = [
            "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
            "if redis.call('get', KEYS[1]) ~= ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
            "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[2]) else return 0 end",
            "if redis.call('get', KEYS[1]) == 'ARGV[1]' then return redis.call('del', KEYS[1]) else return 0 end",
            "local key = KEYS[1] local key = KEYS[2] return redis.call('del', key)",
            "local key = KEYS[1] key = KEYS[2] return redis.call('del', key)",
            "local key = KEYS[1] for key in ipairs(KEYS) do redis.call('del', key) end",
            "local key = KEYS[1] return redis.call('del', key)",
            "local key = KEYS[2] return redis.call('del', key)",
            "local a = 1 if redis.call('get', KEYS[1]) == b then return a else return 0 end",
            "local b = 1 if redis.call('get', KEYS[1]) == b then return b else return 0 end",
            "-- a\rredis.call('del', KEYS[1])\nif redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
        ];
        for (at, one) in texts.iter().enumerate() {
            for other in &texts[at + 1..] {
                assert_ne!(canonical(one), canonical(other), "{one} / {other}");
            }
        }
    }

    #[test]
    fn unreadable_script_has_no_form() {
        let long = "return ".repeat(super::TOKENS_MAX + 1);
        for text in [
            &*long,
            "return 'a\rb'",
            "return\u{a0}1",
            "return 'a\\'b'",
            "return 'open",
            "--[[ long ]] return 1",
            "return [[long]] $",
            "return \u{e9}",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
