//! The keys: a root key in a file, the ring sealed under it in the store, and from the ring
//! one snapshot that everybody uses.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use vestibule_core::{
    access_token::{self, AccessToken, Opens},
    dpop::Nonces,
    jwt::{self, Algorithm},
    keyring::{Key, KeyId, KeyMissing, Purpose, Ring},
    register::RegistrationKeys,
    seal::{Kind, Sealer},
    secret::MacKey,
    time::Timestamp,
    uri::Issuer,
};
use zeroize::Zeroizing;

use crate::{
    signature::{Own, SigningKey},
    store::{SealedKey, Store, StoreError},
    world::World,
};

const ROOT_FILE: &str = "root.key";

/// How long a new key is known before it is used: longer than anybody takes to read the ring.
pub const PUBLISHED_BEFORE_USE: Duration = Duration::from_secs(150);

/// Age at which the key behind access tokens is rotated by itself.
pub const ACCESS_KEY_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long what a key sealed may still be shown; `None` for keys whose work rests for good.
fn outlived_after(purpose: Purpose) -> Option<Duration> {
    match purpose {
        // The longest life that the configuration admits, and the clocks' difference.
        Purpose::Access => Some(Duration::from_secs(3600 + 120)),
        // Session ids live as long as the MCP server lets them.
        Purpose::Browser => Some(Duration::from_secs(30 * 24 * 3600)),
        Purpose::Signing => Some(Duration::from_secs(24 * 3600)),
        Purpose::Registration | Purpose::Vault => None,
    }
}

/// Everything that is made of keys, as of one moment.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Seals and opens access tokens.
    pub access: Sealer,
    /// Seals tickets, onward pages and session ids.
    pub browser: Sealer,
    /// Seals values at rest.
    pub vault: Sealer,
    /// Binds forms to browsers.
    pub form: MacKey,
    /// Answers the approvals of devices.
    pub device: MacKey,
    /// What proofs at the OAuth endpoints must carry (RFC 9449 §8).
    pub server_nonces: Nonces,
    /// What proofs at MCP servers must carry (RFC 9449 §9).
    pub resource_nonces: Nonces,
    /// Behind self-describing client ids.
    pub registration: RegistrationKeys,
    /// What signs, current first.
    pub signing: Arc<[SigningKey]>,
    /// The public part of what signs, as `/jwks.json` has it.
    pub jwks: Value,
    /// Every key's name, purpose and times, for people; nothing of the keys themselves.
    pub list: Vec<Listed>,
}

/// A key as people may see it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its name.
    pub id: KeyId,
    /// What it is for.
    pub purpose: Purpose,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is used.
    pub active_from: Timestamp,
    /// From when on it opens nothing.
    pub retires: Option<Timestamp>,
}

impl Listed {
    /// How it stands, in words.
    pub fn state(&self, now: Timestamp) -> String {
        match self.retires {
            Some(retires) if retires <= now => "retired".to_owned(),
            Some(retires) => format!("opens for another {} s", retires.since(now).as_secs()),
            None if self.active_from > now => {
                format!("in use in {} s", self.active_from.since(now).as_secs())
            }
            None => "in use".to_owned(),
        }
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The root key's file or folder.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// The root key's file is not 32 bytes.
    #[error("{0} is not a root key of 32 bytes")]
    NotAKey(PathBuf),
    /// Others may read the root key.
    #[error("{path} may be read by others (mode {mode:o}); chmod 600 {path}")]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The store's ring was sealed under another root key.
    #[error(
        "the root key in {0} does not open this store's keys; restore the key that belongs to it"
    )]
    AnotherRoot(PathBuf),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ring lacks a key.
    #[error(transparent)]
    Missing(#[from] KeyMissing),
    /// The signing key is none.
    #[error("the signing key cannot be used")]
    Signing,
}

impl Keys {
    /// Loads the ring, or founds it on the first start.
    ///
    /// # Errors
    /// [`KeysError`]; the gateway does not start without its keys.
    pub async fn load(
        dir: &Path,
        issuer: &str,
        store: &dyn Store,
        world: &World,
    ) -> Result<Self, KeysError> {
        let stored = store.ring().await?;
        let path = dir.join(ROOT_FILE);
        let root = match read_root(&path)? {
            Some(root) => root,
            // A ring without its root is a loss that only an operator may accept.
            None if !stored.is_empty() => return Err(KeysError::AnotherRoot(dir.to_owned())),
            None => create_root(dir, &path, world)?,
        };
        let root_id = KeyId::new([0; 4]);
        let sealer = Sealer::new((root_id, &root), [], "ring");
        let stored = if stored.is_empty() {
            let fresh = Purpose::ALL
                .into_iter()
                .map(|purpose| new_key(purpose, world).map(|key| seal_key(&key, &sealer, world)))
                .collect::<Result<Vec<_>, _>>()?;
            store.found_ring(fresh).await?
        } else {
            stored
        };
        let keys = stored
            .iter()
            .map(|key| open_key(key, &sealer).ok_or_else(|| KeysError::AnotherRoot(dir.to_owned())))
            .collect::<Result<Vec<_>, _>>()?;
        Self::of(&Ring::new(keys), issuer, world.now())
    }

    /// Rotates the key of one purpose: the new one is published now and used once everybody
    /// has read it; older ones open until nothing that they sealed can still be shown.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn rotate(
        dir: &Path,
        purpose: Purpose,
        store: &dyn Store,
        world: &World,
    ) -> Result<KeyId, KeysError> {
        let path = dir.join(ROOT_FILE);
        let root = read_root(&path)?.ok_or_else(|| KeysError::AnotherRoot(dir.to_owned()))?;
        let sealer = Sealer::new((KeyId::new([0; 4]), &root), [], "ring");
        let mut key = new_key(purpose, world)?;
        key.active_from = key.created.plus(PUBLISHED_BEFORE_USE);
        let retire = outlived_after(purpose).map(|life| key.active_from.plus(life));
        store
            .rotate_key(seal_key(&key, &sealer, world), retire)
            .await?;
        tracing::info!(event = "key.rotated", purpose = purpose.word(), key = %key.id);
        Ok(key.id)
    }

    fn of(ring: &Ring, issuer: &str, now: Timestamp) -> Result<Self, KeysError> {
        let browser = |label| -> Result<MacKey, KeysError> {
            let (_, key) = ring
                .derived(Purpose::Browser, label, now)?
                .into_iter()
                .next()
                .ok_or(KeyMissing(Purpose::Browser))?;
            Ok(MacKey::new(&key))
        };
        let signing = signing(ring, now)?;
        let public: Vec<Value> = signing.iter().map(SigningKey::public_jwk).collect();
        Ok(Self {
            access: ring.sealer(Purpose::Access, issuer, now)?,
            browser: ring.sealer(Purpose::Browser, issuer, now)?,
            // Not bound to the issuer: a changed public address must not lose what is stored.
            vault: ring.sealer(Purpose::Vault, "store", now)?,
            form: browser("form")?,
            device: browser("device")?,
            server_nonces: Nonces::of_server(browser("dpop nonce")?),
            resource_nonces: Nonces::of_resources(browser("dpop nonce")?),
            registration: RegistrationKeys::new(
                ring.derived(Purpose::Registration, "id", now)?,
                &ring.derived(Purpose::Registration, "secret", now)?,
            ),
            jwks: json!({ "keys": public }),
            signing: signing.into(),
            list: ring
                .keys()
                .iter()
                .map(|key| Listed {
                    id: key.id,
                    purpose: key.purpose,
                    created: key.created,
                    active_from: key.active_from,
                    retires: key.retires,
                })
                .collect(),
        })
    }

    /// Whether the key behind access tokens is due for rotation.
    pub fn access_key_is_old(&self, now: Timestamp) -> bool {
        self.list
            .iter()
            .filter(|key| key.purpose == Purpose::Access)
            .all(|key| now.since(key.created) > ACCESS_KEY_AGE)
    }

    /// Seals a value for rest.
    pub fn seal_at_rest(&self, place: &[u8], plain: &[u8], world: &World) -> Vec<u8> {
        self.vault.seal(Kind::AtRest, place, world.random(), plain)
    }

    /// Opens a value at rest.
    pub fn open_at_rest(&self, place: &[u8], mut sealed: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
        self.vault
            .open(Kind::AtRest, place, &mut sealed)
            .map(|plain| Zeroizing::new(plain.to_vec()))
    }
}

/// The keys behind access tokens, of whichever form: both forms open, so that a change of
/// `tokens.format` refuses nobody.
pub struct AccessKeys<'k> {
    /// The keys.
    pub keys: &'k Keys,
    /// Ours.
    pub issuer: &'k Issuer,
}

impl Opens for AccessKeys<'_> {
    fn open(&self, text: &str) -> Option<Arc<AccessToken>> {
        if text.starts_with(access_token::PREFIX) {
            return AccessToken::open(text, &self.keys.access).map(Arc::new);
        }
        let own = Own(&self.keys.signing);
        let claims = jwt::verify(text, &own, &[Algorithm::Es256]).ok()?;
        access_token::jwt::from_claims(&claims, self.issuer).map(Arc::new)
    }
}

fn read_root(path: &Path) -> Result<Option<Zeroizing<[u8; 32]>>, KeysError> {
    let file = |error| KeysError::File {
        path: path.to_owned(),
        error,
    };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file(error)),
    };
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeysError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let bytes = Zeroizing::new(fs::read(path).map_err(file)?);
    let root: [u8; 32] = bytes
        .as_slice()
        .try_into()
        .map_err(|_| KeysError::NotAKey(path.to_owned()))?;
    Ok(Some(Zeroizing::new(root)))
}

fn create_root(dir: &Path, path: &Path, world: &World) -> Result<Zeroizing<[u8; 32]>, KeysError> {
    let file = |error| KeysError::File {
        path: path.to_owned(),
        error,
    };
    if !dir.exists() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(file)?;
    }
    let root = Zeroizing::new(world.random::<32>());
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(file)?;
    out.write_all(&*root)
        .and_then(|()| out.sync_all())
        .map_err(file)?;
    fs::File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(file)?;
    Ok(root)
}

fn new_key(purpose: Purpose, world: &World) -> Result<Key, KeysError> {
    let material = match purpose {
        Purpose::Signing => SigningKey::generate().ok_or(KeysError::Signing)?,
        Purpose::Access | Purpose::Registration | Purpose::Browser | Purpose::Vault => {
            world.random::<32>().to_vec()
        }
    };
    let now = world.now();
    Ok(Key {
        id: KeyId::new(world.random()),
        purpose,
        material: Zeroizing::new(material),
        created: now,
        active_from: now,
        retires: None,
    })
}

fn place_of(id: &str, purpose: &str) -> Vec<u8> {
    format!("ring/{purpose}/{id}").into_bytes()
}

fn seal_key(key: &Key, sealer: &Sealer, world: &World) -> SealedKey {
    let id = key.id.to_string();
    let purpose = key.purpose.word().to_owned();
    SealedKey {
        sealed: sealer.seal(
            Kind::Ring,
            &place_of(&id, &purpose),
            world.random(),
            &key.material,
        ),
        id,
        purpose,
        created: key.created,
        active_from: key.active_from,
        retires: key.retires,
    }
}

fn open_key(key: &SealedKey, sealer: &Sealer) -> Option<Key> {
    let mut sealed = key.sealed.clone();
    let material = sealer.open(Kind::Ring, &place_of(&key.id, &key.purpose), &mut sealed)?;
    Some(Key {
        id: KeyId::parse(&key.id)?,
        purpose: Purpose::parse(&key.purpose)?,
        material: Zeroizing::new(material.to_vec()),
        created: key.created,
        active_from: key.active_from,
        retires: key.retires,
    })
}

/// The keys that sign, current first, and published ones that will.
fn signing(ring: &Ring, now: Timestamp) -> Result<Vec<SigningKey>, KeysError> {
    let current = ring.current(Purpose::Signing, now)?;
    let others = ring
        .live(Purpose::Signing, now)
        .filter(|key| key.id != current.id);
    std::iter::once(current)
        .chain(others)
        .map(|key| SigningKey::new(key.id.to_string(), &key.material).ok_or(KeysError::Signing))
        .collect()
}
