//! Who has logged in to the console, and the tokens that its forms carry.
//!
//! A login is named by 128 random bits in a cookie. Here is only a keyed digest of them, with the caller whom they stand
//! for: the secret that was shown at the login is not kept. All of it is forgotten with the process.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use subtle::ConstantTimeEq as _;

use super::ending::Ending;
use super::identity::Identity;
use super::seal::random;
use crate::base::codec::hex;

/// Logins of all, and of one credential; beyond it one ends that was used least lately, of those who have most.
const LOGINS_MAX: usize = 1_000;
const LOGINS_OF_ONE_MAX: usize = 20;

const ID_BYTES: usize = 16;
const NONCE_BYTES: usize = 16;
const MAC_BYTES: usize = 16;

/// What the cookie of a visitor has: chosen before the login for its form, and another one at the login.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LoginId([u8; ID_BYTES]);

impl LoginId {
    pub fn fresh() -> LoginId {
        LoginId(random())
    }

    /// As it stands in a cookie; `None` for any other text.
    pub fn parse(text: &str) -> Option<LoginId> {
        bytes_of(text).map(LoginId)
    }

    pub fn as_text(&self) -> String {
        hex(&self.0)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// How long a login lasts.
#[derive(Clone, Copy, Debug)]
pub struct LoginTimes {
    /// Without a page that somebody opened.
    pub idle: Duration,
    /// In any case.
    pub longest: Duration,
}

/// All that are logged in on this node.
pub struct Logins {
    times: LoginTimes,
    key: [u8; blake3::KEY_LEN],
    known: Mutex<HashMap<[u8; blake3::OUT_LEN], Login>>,
}

struct Login {
    identity: Identity,
    begun: Duration,
    used: Duration,
}

impl Logins {
    pub fn new(times: LoginTimes) -> Logins {
        Logins { times, key: random(), known: Mutex::default() }
    }

    /// Logs a caller in; `now` is the age of the process.
    pub fn begin(&self, identity: Identity, now: Duration) -> LoginId {
        let id = LoginId::fresh();
        let mut known = self.known.lock();
        known.retain(|_, login| self.lasts(login, now));
        let mut counts = HashMap::<u64, usize>::new();
        known.values().for_each(|login| *counts.entry(login.identity.credential).or_default() += 1);
        let most = counts.values().max().copied().unwrap_or_default();
        if counts.get(&identity.credential).is_some_and(|count| *count >= LOGINS_OF_ONE_MAX) {
            end_one(&mut known, |login| login.identity.credential == identity.credential);
        } else if known.len() >= LOGINS_MAX {
            end_one(&mut known, |login| counts[&login.identity.credential] == most);
        }
        known.insert(self.digest(&id), Login { identity, begun: now, used: now });
        id
    }

    /// Who is logged in under this id. `is_use`: somebody opened a page, so that the idle time begins anew.
    pub fn find(&self, id: &LoginId, now: Duration, is_use: bool) -> Option<Identity> {
        let mut known = self.known.lock();
        let login = known.get_mut(&self.digest(id)).filter(|login| self.lasts(login, now))?;
        if is_use {
            login.used = now;
        }
        Some(login.identity.clone())
    }

    pub fn longest(&self) -> Duration {
        self.times.longest
    }

    pub fn end(&self, id: &LoginId) {
        self.known.lock().remove(&self.digest(id));
    }

    fn lasts(&self, login: &Login, now: Duration) -> bool {
        let (idle, age) = (now.saturating_sub(login.used), now.saturating_sub(login.begun));
        let has_ended = login.identity.ending().is_some_and(Ending::has_come);
        idle < self.times.idle && age < self.times.longest && !has_ended
    }

    fn digest(&self, id: &LoginId) -> [u8; blake3::OUT_LEN] {
        blake3::keyed_hash(&self.key, &id.0).into()
    }
}

/// Proofs that a text was written here.
impl Logins {
    /// What a form carries: it shows that the form was made for `whom`. Each is different, so that the length of a
    /// compressed page tells nothing of it.
    pub fn form_token(&self, whom: &[u8]) -> String {
        let nonce = random::<NONCE_BYTES>();
        hex(&nonce) + &hex(&self.mac(b"form", &[&nonce, whom]))
    }

    pub fn is_form_token(&self, whom: &[u8], token: &str) -> bool {
        let Some((nonce, mac)) = token.split_at_checked(2 * NONCE_BYTES) else { return false };
        let (nonce, mac) = (bytes_of::<NONCE_BYTES>(nonce), bytes_of::<MAC_BYTES>(mac));
        let Some((nonce, mac)) = nonce.zip(mac) else { return false };
        self.mac(b"form", &[&nonce, whom]).ct_eq(&mac).into()
    }

    /// A text that comes back through an address.
    pub fn signed(&self, text: &str) -> String {
        hex(&self.mac(b"text", &[text.as_bytes()])) + text
    }

    /// The text, if it was signed here.
    pub fn verified<'a>(&self, signed: &'a str) -> Option<&'a str> {
        let (mac, text) = signed.split_at_checked(2 * MAC_BYTES)?;
        let is_ours: bool = self.mac(b"text", &[text.as_bytes()]).ct_eq(&bytes_of::<MAC_BYTES>(mac)?).into();
        is_ours.then_some(text)
    }

    fn mac(&self, purpose: &[u8; 4], parts: &[&[u8]]) -> [u8; MAC_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(b"latchd console ").update(purpose);
        parts.iter().for_each(|part| _ = hasher.update(part));
        let mut mac = [0; MAC_BYTES];
        mac.copy_from_slice(&hasher.finalize().as_bytes()[..MAC_BYTES]);
        mac
    }
}

/// Of those that are asked about, the one that was used least lately.
fn end_one(known: &mut HashMap<[u8; blake3::OUT_LEN], Login>, is_asked: impl Fn(&Login) -> bool) {
    let oldest = known.iter().filter(|(_, login)| is_asked(login)).min_by_key(|(_, login)| login.used);
    if let Some(id) = oldest.map(|(id, _)| *id) {
        known.remove(&id);
    }
}

/// Exactly so many bytes in lower-case hexadecimal digits.
fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let is_lower = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 2 * N || !text.bytes().all(is_lower) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;

    fn logins() -> Logins {
        Logins::new(LoginTimes { idle: Duration::from_secs(10), longest: Duration::from_secs(60) })
    }

    fn caller(name: &str) -> Identity {
        Identity::new(name, Role::Client, &[])
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn login_ends_when_idle_and_at_the_latest_when_it_is_old() {
        let logins = logins();
        let id = logins.begin(caller("a"), at(0));
        assert!(logins.find(&id, at(9), false).is_some());
        assert!(logins.find(&id, at(10), false).is_none(), "a look is no use");
        for now in (5..60).step_by(5) {
            assert!(logins.find(&id, at(now), true).is_some(), "{now} s");
        }
        assert!(logins.find(&id, at(60), true).is_none());
        let id = logins.begin(caller("a"), at(100));
        assert!(logins.find(&LoginId::fresh(), at(100), true).is_none());
        logins.end(&id);
        assert!(logins.find(&id, at(100), true).is_none(), "logged out");
    }

    #[test]
    fn credential_that_logs_in_again_and_again_ends_its_own_logins_only() {
        let logins = logins();
        let other = logins.begin(caller("other"), at(0));
        let first = logins.begin(caller("a"), at(0));
        let all: Vec<LoginId> = (0..LOGINS_OF_ONE_MAX).map(|_| logins.begin(caller("a"), at(1))).collect();
        assert!(logins.find(&first, at(1), true).is_none() && logins.find(&other, at(1), true).is_some());
        assert!(all.iter().all(|id| logins.find(id, at(1), true).is_some()));
    }

    #[test]
    fn those_with_many_logins_end_none_of_those_with_few() {
        let logins = logins();
        let admin = logins.begin(caller("admin"), at(0));
        (0..LOGINS_MAX).for_each(|n| _ = logins.begin(caller(&format!("branch-{}", n % 50)), at(1)));
        let new = logins.begin(caller("new"), at(2));
        assert_eq!(logins.known.lock().len(), LOGINS_MAX);
        assert!(logins.find(&admin, at(2), true).is_some() && logins.find(&new, at(2), true).is_some());
    }

    #[test]
    fn form_token_holds_for_whom_it_was_made_and_in_this_process_only() {
        let logins = logins();
        let token = logins.form_token(b"me");
        assert!(logins.is_form_token(b"me", &token) && token != logins.form_token(b"me"));
        assert!(!logins.is_form_token(b"you", &token) && !self::logins().is_form_token(b"me", &token));
        for bad in ["", "é", &token[1..], &token.to_uppercase(), &format!("{token}0")] {
            assert!(!logins.is_form_token(b"me", bad), "{bad}");
        }
        let signed = logins.signed("Done: é");
        assert_eq!(logins.verified(&signed), Some("Done: é"));
        assert_eq!((logins.verified(&signed.replace('D', "G")), logins.verified("é")), (None, None));
        assert_eq!(self::logins().verified(&signed), None);
    }

    #[test]
    fn login_id_has_one_text() {
        let id = LoginId::fresh();
        assert!(LoginId::parse(&id.as_text()) == Some(id));
        assert!(LoginId::parse(&id.as_text().to_uppercase().replace(|digit: char| digit.is_numeric(), "A")).is_none());
        assert!(LoginId::parse("").is_none() && LoginId::parse(&"+0".repeat(16)).is_none());
    }
}
