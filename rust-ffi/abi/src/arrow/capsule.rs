//! What Python carries the structures in: capsules, which it frees on any thread, also at the end of the interpreter.
//! So nothing of Python but the capsule itself is needed then.

use std::ffi::{CStr, c_char, c_void};
use std::mem::transmute;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::interface::{ArrowArray, ArrowArrayStream, ArrowSchema, Structure, free};
use crate::boundary::quiet;

/// A structure of the Arrow C data interface.
#[repr(C)]
pub enum flv_arrow_kind_e {
    /// `struct ArrowSchema`.
    FLV_ARROW_SCHEMA = 0,
    /// `struct ArrowArray`.
    FLV_ARROW_ARRAY = 1,
    /// `struct ArrowArrayStream`.
    FLV_ARROW_STREAM = 2,
}

/// The names of capsules that hold them, in that order.
const NAMES: [&CStr; 3] = [c"arrow_schema", c"arrow_array", c"arrow_array_stream"];

type GetName = unsafe extern "C" fn(*mut c_void) -> *const c_char;
type GetPointer = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;

static GET_NAME: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static GET_POINTER: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// Tells where Python's `PyCapsule_GetName` and `PyCapsule_GetPointer` are, for `flv_arrow_capsule_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_arrow_capsule_init(get_name: *mut c_void, get_pointer: *mut c_void) {
    GET_NAME.store(get_name, Ordering::Relaxed);
    GET_POINTER.store(get_pointer, Ordering::Release);
}

/// The name of a capsule that holds a structure of a kind, one of `FLV_ARROW_`; NULL: there is no such kind. It ends
/// with a 0 byte, and lasts as long as the library. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_arrow_capsule_name(kind: u32) -> *const c_char {
    NAMES.get(kind as usize).map_or(std::ptr::null(), |name| name.as_ptr())
}

/// An empty structure of a kind, one of `FLV_ARROW_`, for a capsule of that name; NULL: there is no such kind. It
/// belongs to the capsule, whose destructor is `flv_arrow_capsule_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_arrow_capsule_structure(kind: u32) -> *mut c_void {
    fn made<T: Structure>() -> *mut c_void {
        Box::into_raw(Box::new(T::RELEASED)).cast()
    }
    quiet(std::ptr::null_mut(), || {
        Ok(match kind {
            0 => made::<ArrowSchema>(),
            1 => made::<ArrowArray>(),
            2 => made::<ArrowArrayStream>(),
            _ => std::ptr::null_mut(),
        })
    })
}

/// The destructor of a capsule that holds a structure of `flv_arrow_capsule_structure`: releases what nobody has taken
/// out of it, and frees it. Python calls it, on any thread, also in a forked child.
#[unsafe(no_mangle)]
pub extern "C" fn flv_arrow_capsule_free(capsule: *mut c_void) {
    let (get_name, get_pointer) = (GET_NAME.load(Ordering::Relaxed), GET_POINTER.load(Ordering::Acquire));
    if capsule.is_null() || get_name.is_null() || get_pointer.is_null() {
        return;
    }
    // SAFETY: whoever gave the two addresses vouches for these functions, which take any capsule. The name tells which
    // structure it holds; it was made above, and goes with the capsule.
    unsafe {
        let get_name = transmute::<*mut c_void, GetName>(get_name);
        let get_pointer = transmute::<*mut c_void, GetPointer>(get_pointer);
        let name = get_name(capsule);
        if name.is_null() {
            return;
        }
        let kind = NAMES.iter().position(|known| *known == CStr::from_ptr(name));
        let structure = get_pointer(capsule, name);
        match kind.filter(|_| !structure.is_null()) {
            Some(0) => free::<ArrowSchema>(structure.cast()),
            Some(1) => free::<ArrowArray>(structure.cast()),
            Some(2) => free::<ArrowArrayStream>(structure.cast()),
            _ => {}
        }
    }
}
