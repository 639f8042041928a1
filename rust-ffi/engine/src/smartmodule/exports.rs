//! Which transform a module's code exports. The server takes the first of these names that it finds.

const EXPORTS: u8 = 7;
/// The header: magic and version.
const HEADER: usize = 8;
const OTHERS: [&[u8]; 4] = [b"filter", b"map", b"filter_map", b"array_map"];

/// Whether the server runs the module as an aggregate. What is no module is none.
pub(super) fn is_aggregate(code: &[u8]) -> bool {
    let names = names(code).unwrap_or_default();
    names.contains(&&b"aggregate"[..]) && !names.iter().any(|name| OTHERS.contains(name))
}

/// The names of what is exported; `None`: the code is damaged, or exports nothing.
fn names(code: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = code.get(HEADER..)?;
    loop {
        let (&id, after) = rest.split_first()?;
        rest = after;
        let size = number(&mut rest)?;
        let (section, after) = rest.split_at_checked(size)?;
        rest = after;
        if id == EXPORTS {
            return exported(section);
        }
    }
}

fn exported(mut section: &[u8]) -> Option<Vec<&[u8]>> {
    let mut names = Vec::new();
    for _ in 0..number(&mut section)? {
        let length = number(&mut section)?;
        let (name, rest) = section.split_at_checked(length)?;
        let (_kind, rest) = rest.split_first()?;
        section = rest;
        number(&mut section)?;
        names.push(name);
    }
    Some(names)
}

/// An unsigned number, seven bits a byte.
fn number(from: &mut &[u8]) -> Option<usize> {
    let mut number = 0_u32;
    for shift in (0..32).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        number |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return usize::try_from(number).ok();
        }
    }
    None
}
