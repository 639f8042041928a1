//! What holds for every module, whatever its code.

use super::{Chain, ModuleCode, Range, Transform, encoded};

/// Code is looked at as far as its exports go. What may be sent is packed so that the same comes out of it.
pub(crate) fn module(data: &[u8]) {
    let transform = Transform::new(ModuleCode::Wasm(data.to_vec()));
    let _ = transform.is_aggregate();
    Transform::new(ModuleCode::Stored("module".to_owned())).learn(data);
    if transform.validate().is_err() {
        return;
    }
    let packed = super::packed(data).unwrap_or_default();
    assert!(super::unpacked(&packed) == super::unpacked(data));
    let value = data.get(..8);
    if let Ok(Some(chain)) = Chain::new(std::slice::from_ref(&transform)) {
        assert_eq!(chain.invocations(Range { from: 1, to: Some(2) }, value).len(), 3);
    }
    let _ = encoded(&[transform], 25);
}
