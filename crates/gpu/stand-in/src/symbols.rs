//! The C functions of NVML that the library exports. Each is a line or two: pointers in, an answer of
//! the stage out. Longer than the house's measure because the interface is: one function a reading.
//!
//! The contract of all of them is NVML's own: a pointer argument is null or points to what its type
//! says, and stays valid during the call. A device handle is its index + 1, an event set likewise.

#![expect(non_upper_case_globals, reason = "the names are NVML's")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulonglong};
use std::ptr;

use nvml_wrapper_sys::bindings::{
    NVML_VALUE_NOT_AVAILABLE, nvmlClockType_enum_NVML_CLOCK_MEM, nvmlClockType_enum_NVML_CLOCK_SM,
    nvmlClockType_t, nvmlDevice_t, nvmlEccCounterType_t, nvmlEnableState_t, nvmlEventData_t,
    nvmlEventSet_t, nvmlEventTypeXidCriticalError, nvmlGpuTopologyLevel_t, nvmlMemory_v2_t,
    nvmlMemoryErrorType_enum_NVML_MEMORY_ERROR_TYPE_CORRECTED, nvmlMemoryErrorType_t,
    nvmlPciInfo_t, nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_TX_BYTES, nvmlPcieUtilCounter_t,
    nvmlProcessInfo_t, nvmlReturn_enum_NVML_SUCCESS, nvmlReturn_t, nvmlTemperatureSensors_t,
    nvmlUtilization_t,
};

use crate::script::{Fault, ScriptedGpu};
use crate::stage::{self, Reading};

/// The index behind a handle.
fn index(device: nvmlDevice_t) -> usize {
    // A null handle becomes an index that no device has.
    device.addr().wrapping_sub(1)
}

fn code(result: Result<(), Fault>) -> nvmlReturn_t {
    result.map_or_else(Fault::code, |()| nvmlReturn_enum_NVML_SUCCESS)
}

/// Writes what was found.
///
/// # Safety
/// `to` is null or valid for a write.
unsafe fn put<T>(to: *mut T, found: Result<T, Fault>) -> nvmlReturn_t {
    code(found.and_then(|value| {
        if to.is_null() {
            return Err(Fault::InvalidArgument);
        }
        // SAFETY: not null, hence valid by this function's contract.
        unsafe { to.write(value) };
        Ok(())
    }))
}

/// Writes a text with its closing zero.
///
/// # Safety
/// `to` is null or valid for writes of `length` characters.
unsafe fn put_text(to: *mut c_char, length: c_uint, text: Result<String, Fault>) -> nvmlReturn_t {
    code(text.and_then(|text| {
        if to.is_null() {
            return Err(Fault::InvalidArgument);
        }
        if text.len() >= length as usize {
            return Err(Fault::InsufficientSize);
        }
        // SAFETY: not null, hence valid by this function's contract, and the text with its zero is
        // no longer than `length`.
        unsafe {
            ptr::copy_nonoverlapping(text.as_ptr().cast(), to, text.len());
            to.add(text.len()).write(0);
        }
        Ok(())
    }))
}

/// A reading as a 32-bit number.
fn small(device: nvmlDevice_t, reading: Reading) -> Result<c_uint, Fault> {
    let value = stage::read(index(device), reading)?;
    c_uint::try_from(value).map_err(|_| Fault::Unknown)
}

/// A fact of the device's script.
fn fact<T>(
    device: nvmlDevice_t,
    of: impl FnOnce(&ScriptedGpu) -> Result<T, Fault>,
) -> Result<T, Fault> {
    stage::ask(|stage| of(stage.gpu(index(device))?))
}

fn pci(bus_id: &str) -> nvmlPciInfo_t {
    let mut info = nvmlPciInfo_t {
        busIdLegacy: [0; 16],
        domain: 0,
        bus: 0,
        device: 0,
        pciDeviceId: 0,
        pciSubSystemId: 0,
        busId: [0; 32],
    };
    // The last character stays zero.
    for (to, from) in info.busId[..31].iter_mut().zip(bus_id.bytes()) {
        *to = from.cast_signed();
    }
    info
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> nvmlReturn_t {
    code(stage::open())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInitWithFlags(_flags: c_uint) -> nvmlReturn_t {
    code(stage::open())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> nvmlReturn_t {
    code(stage::close())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlErrorString(_result: nvmlReturn_t) -> *const c_char {
    const WORDS: &CStr = c"scripted";
    WORDS.as_ptr()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlSystemGetDriverVersion(to: *mut c_char, length: c_uint) -> nvmlReturn_t {
    // SAFETY: the caller keeps NVML's contract: `length` characters, or null.
    unsafe { put_text(to, length, stage::ask(|stage| Ok(stage.script.driver.clone()))) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlSystemGetCudaDriverVersion_v2(to: *mut c_int) -> nvmlReturn_t {
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, stage::ask(|stage| Ok(stage.script.cuda))) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlSystemGetProcessName(
    pid: c_uint,
    to: *mut c_char,
    length: c_uint,
) -> nvmlReturn_t {
    let name = stage::ask(|stage| {
        let name = stage.script.process_names.get(&pid).ok_or(Fault::NotFound)?;
        // NVML cuts a name to the room it is given.
        let room = (length as usize).saturating_sub(1);
        Ok(name.chars().take(room).collect())
    });
    // SAFETY: the caller keeps NVML's contract: `length` characters, or null.
    unsafe { put_text(to, length, name) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetCount_v2(to: *mut c_uint) -> nvmlReturn_t {
    let count =
        stage::ask(|stage| c_uint::try_from(stage.script.gpus.len()).map_err(|_| Fault::Unknown));
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, count) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(
    number: c_uint,
    to: *mut nvmlDevice_t,
) -> nvmlReturn_t {
    let handle: nvmlDevice_t = ptr::without_provenance_mut(number as usize + 1);
    let found = fact(handle, |gpu| gpu.handle.map_or(Ok(handle), Err));
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, found) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetName(
    device: nvmlDevice_t,
    to: *mut c_char,
    length: c_uint,
) -> nvmlReturn_t {
    // SAFETY: the caller keeps NVML's contract: `length` characters, or null.
    unsafe { put_text(to, length, fact(device, |gpu| Ok(gpu.name.clone()))) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetUUID(
    device: nvmlDevice_t,
    to: *mut c_char,
    length: c_uint,
) -> nvmlReturn_t {
    let uuid = fact(device, |gpu| {
        if gpu.uuid.is_empty() { Err(Fault::NotSupported) } else { Ok(gpu.uuid.clone()) }
    });
    // SAFETY: the caller keeps NVML's contract: `length` characters, or null.
    unsafe { put_text(to, length, uuid) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(
    device: nvmlDevice_t,
    to: *mut nvmlPciInfo_t,
) -> nvmlReturn_t {
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, fact(device, |gpu| Ok(pci(&gpu.bus_id)))) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetNvLinkState(
    device: nvmlDevice_t,
    link: c_uint,
    to: *mut nvmlEnableState_t,
) -> nvmlReturn_t {
    let state = fact(device, |gpu| match gpu.nvlinks.len() {
        0 => Err(Fault::NotSupported),
        links if (link as usize) < links => Ok(1),
        _ => Err(Fault::InvalidArgument),
    });
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, state) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetNvLinkRemotePciInfo_v2(
    device: nvmlDevice_t,
    link: c_uint,
    to: *mut nvmlPciInfo_t,
) -> nvmlReturn_t {
    let remote = fact(device, |gpu| {
        gpu.nvlinks.get(link as usize).map(|bus_id| pci(bus_id)).ok_or(Fault::InvalidArgument)
    });
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, remote) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetTopologyCommonAncestor(
    device: nvmlDevice_t,
    _other: nvmlDevice_t,
    to: *mut nvmlGpuTopologyLevel_t,
) -> nvmlReturn_t {
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, fact(device, |gpu| gpu.ancestor.ok_or(Fault::NotSupported))) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetEnforcedPowerLimit(
    device: nvmlDevice_t,
    to: *mut c_uint,
) -> nvmlReturn_t {
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, small(device, Reading::PowerLimit)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMaxClockInfo(
    device: nvmlDevice_t,
    clock: nvmlClockType_t,
    to: *mut c_uint,
) -> nvmlReturn_t {
    let found = if clock == nvmlClockType_enum_NVML_CLOCK_SM {
        small(device, Reading::SmClockMax)
    } else {
        Err(Fault::NotSupported)
    };
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, found) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetUtilizationRates(
    device: nvmlDevice_t,
    to: *mut nvmlUtilization_t,
) -> nvmlReturn_t {
    let found = small(device, Reading::SmUtilisation).and_then(|gpu| {
        Ok(nvmlUtilization_t { gpu, memory: small(device, Reading::MemoryUtilisation)? })
    });
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, found) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(
    device: nvmlDevice_t,
    to: *mut nvmlMemory_v2_t,
) -> nvmlReturn_t {
    let found = stage::read(index(device), Reading::MemoryUsed).and_then(|used| {
        let total = stage::read(index(device), Reading::MemoryTotal)?;
        let free = total.saturating_sub(used);
        Ok(nvmlMemory_v2_t { version: 2, total, reserved: 0, free, used })
    });
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, found) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetPowerUsage(
    device: nvmlDevice_t,
    to: *mut c_uint,
) -> nvmlReturn_t {
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, small(device, Reading::Power)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetTotalEnergyConsumption(
    device: nvmlDevice_t,
    to: *mut c_ulonglong,
) -> nvmlReturn_t {
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, stage::read(index(device), Reading::Energy)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetTemperature(
    device: nvmlDevice_t,
    _sensor: nvmlTemperatureSensors_t,
    to: *mut c_uint,
) -> nvmlReturn_t {
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, small(device, Reading::Temperature)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetClockInfo(
    device: nvmlDevice_t,
    clock: nvmlClockType_t,
    to: *mut c_uint,
) -> nvmlReturn_t {
    let found = match clock {
        nvmlClockType_enum_NVML_CLOCK_SM => small(device, Reading::SmClock),
        nvmlClockType_enum_NVML_CLOCK_MEM => small(device, Reading::MemoryClock),
        _ => Err(Fault::NotSupported),
    };
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, found) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetCurrentClocksThrottleReasons(
    device: nvmlDevice_t,
    to: *mut c_ulonglong,
) -> nvmlReturn_t {
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, stage::read(index(device), Reading::ThrottleReasons)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetPcieThroughput(
    device: nvmlDevice_t,
    counter: nvmlPcieUtilCounter_t,
    to: *mut c_uint,
) -> nvmlReturn_t {
    let sent = counter == nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_TX_BYTES;
    let found = small(device, if sent { Reading::PcieTx } else { Reading::PcieRx });
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, found) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetTotalEccErrors(
    device: nvmlDevice_t,
    kind: nvmlMemoryErrorType_t,
    _counter: nvmlEccCounterType_t,
    to: *mut c_ulonglong,
) -> nvmlReturn_t {
    let corrected = kind == nvmlMemoryErrorType_enum_NVML_MEMORY_ERROR_TYPE_CORRECTED;
    let reading = if corrected { Reading::EccCorrected } else { Reading::EccUncorrected };
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, stage::read(index(device), reading)) }
}

/// The processes of a device, into an array of `*count` places.
///
/// # Safety
/// `count` is null or valid; `to` is null or valid for `*count` writes.
unsafe fn processes(
    device: nvmlDevice_t,
    reading: Reading,
    count: *mut c_uint,
    to: *mut nvmlProcessInfo_t,
) -> nvmlReturn_t {
    if count.is_null() {
        return Fault::InvalidArgument.code();
    }
    // SAFETY: not null, hence valid by this function's contract.
    let room = if to.is_null() { 0 } else { unsafe { *count as usize } };
    let list = match stage::ask(|stage| stage.processes(index(device), reading, room)) {
        Ok(list) => list,
        Err(fault) => return fault.code(),
    };
    let Ok(length) = c_uint::try_from(list.len()) else { return Fault::Unknown.code() };
    // SAFETY: as above.
    unsafe { count.write(length) };
    if list.len() > room {
        return Fault::InsufficientSize.code();
    }
    for (place, process) in list.iter().enumerate() {
        let unknown = i64::from(NVML_VALUE_NOT_AVAILABLE).cast_unsigned();
        let info = nvmlProcessInfo_t {
            pid: process.pid,
            usedGpuMemory: process.memory_bytes.unwrap_or(unknown),
            gpuInstanceId: c_uint::MAX,
            computeInstanceId: c_uint::MAX,
        };
        // SAFETY: `place` is below the number of places, which the caller vouches for.
        unsafe { to.add(place).write(info) };
    }
    nvmlReturn_enum_NVML_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: nvmlDevice_t,
    count: *mut c_uint,
    to: *mut nvmlProcessInfo_t,
) -> nvmlReturn_t {
    // SAFETY: the caller keeps NVML's contract, which is that of `processes`.
    unsafe { processes(device, Reading::Compute, count, to) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v3(
    device: nvmlDevice_t,
    count: *mut c_uint,
    to: *mut nvmlProcessInfo_t,
) -> nvmlReturn_t {
    // SAFETY: the caller keeps NVML's contract, which is that of `processes`.
    unsafe { processes(device, Reading::Graphics, count, to) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetSupportedEventTypes(
    device: nvmlDevice_t,
    to: *mut c_ulonglong,
) -> nvmlReturn_t {
    let types = fact(device, |gpu| {
        let offered = gpu.offers_xids || !gpu.xids.is_empty();
        Ok(if offered { c_ulonglong::from(nvmlEventTypeXidCriticalError) } else { 0 })
    });
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, types) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlEventSetCreate(to: *mut nvmlEventSet_t) -> nvmlReturn_t {
    // A set is known by the one device that it is registered for, in the box behind its handle.
    let set: nvmlEventSet_t = Box::into_raw(Box::new(usize::MAX)).cast();
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, Ok(set)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlEventSetFree(set: nvmlEventSet_t) -> nvmlReturn_t {
    if set.is_null() {
        return Fault::InvalidArgument.code();
    }
    // SAFETY: by NVML's contract the handle came from `nvmlEventSetCreate`, a box of a `usize`, and is
    // not used again.
    drop(unsafe { Box::from_raw(set.cast::<usize>()) });
    nvmlReturn_enum_NVML_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceRegisterEvents(
    device: nvmlDevice_t,
    _types: c_ulonglong,
    set: nvmlEventSet_t,
) -> nvmlReturn_t {
    // SAFETY: by NVML's contract the handle came from `nvmlEventSetCreate` and is used by one thread.
    unsafe { put(set.cast::<usize>(), Ok(index(device))) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlEventSetWait_v2(
    set: nvmlEventSet_t,
    to: *mut nvmlEventData_t,
    _timeout_ms: c_uint,
) -> nvmlReturn_t {
    if set.is_null() {
        return Fault::InvalidArgument.code();
    }
    // SAFETY: as for `nvmlDeviceRegisterEvents`.
    let gpu = unsafe { *set.cast::<usize>() };
    let event =
        stage::ask(|stage| stage.xid(gpu)?.ok_or(Fault::Timeout)).map(|xid| nvmlEventData_t {
            device: ptr::without_provenance_mut(gpu + 1),
            eventType: c_ulonglong::from(nvmlEventTypeXidCriticalError),
            eventData: xid,
            gpuInstanceId: c_uint::MAX,
            computeInstanceId: c_uint::MAX,
        });
    // SAFETY: the caller keeps NVML's contract.
    unsafe { put(to, event) }
}
