// SPDX-License-Identifier: Apache-2.0
// HDF5's C API with owners: one class for each of its concepts. Internal to this library.
// HDF5 itself is not thread-safe everywhere: hold lock() around every use.
#pragma once

#include "core/base/result.h"

#include <cstdint>
#include <filesystem>
#include <hdf5.h>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace rankscope::record::hdf5
{

/// One user of the library at a time. Also keeps it from printing its errors.
[[nodiscard]] std::unique_lock<std::recursive_mutex> lock();

/// Owns one identifier.
template <herr_t (*Close)(hid_t)>
class Handle
{
public:
    Handle() = default;
    explicit Handle(hid_t id) : m_id(id) {}
    ~Handle() { reset(); }
    Handle(Handle&& other) noexcept : m_id(std::exchange(other.m_id, hid_t{-1})) {}
    Handle& operator=(Handle&& other) noexcept
    {
        std::swap(m_id, other.m_id);
        return *this;
    }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;

    [[nodiscard]] hid_t id() const { return m_id; }
    [[nodiscard]] bool valid() const { return m_id >= 0; }
    /// Closes now; false if that failed.
    bool reset() { return m_id < 0 || Close(std::exchange(m_id, hid_t{-1})) >= 0; }

private:
    hid_t m_id = -1;
};

using Space = Handle<H5Sclose>;
using Type = Handle<H5Tclose>;
using PropertyList = Handle<H5Pclose>;
using Attribute = Handle<H5Aclose>;
using Object = Handle<H5Oclose>;

/// Attributes of a group or a dataset.
class Attributes
{
public:
    explicit Attributes(hid_t owner) : m_owner(owner) {}
    Status set(const char* name, const std::string& text);
    Status set(const char* name, const std::vector<std::string>& texts);
    Status set(const char* name, std::int64_t value);
    Status set(const char* name, double value);
    [[nodiscard]] bool has(const char* name) const;
    /// An absent attribute is an error.
    [[nodiscard]] Result<std::string> text(const char* name) const;
    [[nodiscard]] Result<std::vector<std::string>> texts(const char* name) const;
    [[nodiscard]] Result<std::int64_t> integer(const char* name) const;
    [[nodiscard]] Result<double> real(const char* name) const;

private:
    hid_t m_owner;
};

class Dataset
{
public:
    explicit Dataset(Handle<H5Dclose> handle) : m_handle(std::move(handle)) {}
    [[nodiscard]] Attributes attributes() const { return Attributes(m_handle.id()); }
    [[nodiscard]] hid_t id() const { return m_handle.id(); }
    /// Makes this dataset a coordinate others can refer to.
    Status makeScale(const std::string& name);
    Status attachScale(std::size_t dimension, const Dataset& scale, const std::string& label);

private:
    Handle<H5Dclose> m_handle;
};

/// Numbers with their shape.
template <typename T>
struct Array {
    std::vector<std::size_t> shape;
    std::vector<T> values;
};

class Group
{
public:
    explicit Group(Handle<H5Gclose> handle, std::string path)
        : m_handle(std::move(handle)),
          m_path(std::move(path))
    {
    }
    [[nodiscard]] Attributes attributes() const { return Attributes(m_handle.id()); }
    [[nodiscard]] const std::string& path() const { return m_path; }

    Result<Group> create(const std::string& name);
    Result<Dataset> write(const std::string& name, const std::vector<std::size_t>& shape,
                          std::span<const float> values);
    Result<Dataset> write(const std::string& name, std::span<const std::int64_t> values);
    Result<Dataset> write(const std::string& name, const std::vector<std::string>& texts);
    Result<Dataset> write(const std::string& name, const std::string& text);

    /// Names of the objects in the group. Only objects of this very file: links to elsewhere are refused.
    [[nodiscard]] Result<std::vector<std::string>> names() const;
    [[nodiscard]] bool has(const std::string& name) const;
    [[nodiscard]] Result<Group> open(const std::string& name) const;
    [[nodiscard]] Result<Dataset> openDataset(const std::string& name) const;
    [[nodiscard]] Result<Array<float>> readFloats(const std::string& name) const;
    [[nodiscard]] Result<std::vector<std::int64_t>> readIntegers(const std::string& name) const;
    /// One dimension of texts, or one text alone.
    [[nodiscard]] Result<std::vector<std::string>> readTexts(const std::string& name) const;

private:
    [[nodiscard]] std::string full(const std::string& name) const;
    [[nodiscard]] Status checkLink(const std::string& name) const;

    Handle<H5Gclose> m_handle;
    std::string m_path;
};

class File
{
public:
    static Result<File> create(const std::filesystem::path& path);
    static Result<File> openReadOnly(const std::filesystem::path& path);
    [[nodiscard]] Result<Group> root() const;
    /// Writes everything out; errors that were held back (no space left) come here.
    Status close();

private:
    explicit File(Handle<H5Fclose> handle, std::filesystem::path path)
        : m_handle(std::move(handle)),
          m_path(std::move(path))
    {
    }
    Handle<H5Fclose> m_handle;
    std::filesystem::path m_path;
};

} // namespace rankscope::record::hdf5
