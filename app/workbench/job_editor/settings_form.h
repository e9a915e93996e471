// SPDX-License-Identifier: GPL-3.0-or-later
// A form made from a schema: one field a setting, grouped, the advanced ones folded, errors at their field.
#pragma once

#include "core/protocol/family_manifest.h"

#include <QWidget>

#include <memory>
#include <set>
#include <string>
#include <vector>

class QLabel;
class QToolButton;
class QVBoxLayout;

namespace rankscope::workbench
{

/// One setting: caption, editor, and the error below it.
class SettingField : public QWidget
{
    Q_OBJECT

public:
    SettingField(const protocol::SettingSchema& schema, QWidget* parent);

    [[nodiscard]] const protocol::SettingSchema& schema() const { return m_schema; }
    /// What stands in the field; text that is no number where one is wanted stays text, for the check to
    /// refuse.
    [[nodiscard]] base::Json value() const;
    void setValue(const base::Json& value);
    /// Takes the default that belongs to these settings, if what stands in the field is a default.
    void followDefault(const base::Json& settings);
    /// The default that holds without any other setting.
    void reset();
    /// Lets what stands in the field stay among these settings, whatever their defaults are.
    void keepAmong(const base::Json& settings);
    [[nodiscard]] QString title() const;
    /// The schema's own check of the present value; empty if it holds.
    [[nodiscard]] QString problem() const;
    /// A message that starts with the setting's key is shown with its title instead.
    void showError(const QString& message);
    [[nodiscard]] QString shownError() const;
    [[nodiscard]] QWidget* editor() const { return m_editor; }

Q_SIGNALS:
    void edited();

private:
    QWidget* makeEditor();

    protocol::SettingSchema m_schema;
    base::Json m_default; ///< the one that last applied
    QWidget* m_editor;
    QLabel* m_error;
};

class SettingsForm : public QWidget
{
    Q_OBJECT

public:
    static constexpr int captionWidth =
        140; ///< of every caption on the page, so that the fields stand in one column

    explicit SettingsForm(QWidget* parent = nullptr);

    void setSchemas(const std::vector<protocol::SettingSchema>& schemas);
    /// Every visible setting. Hidden ones (showWhen) are left out.
    [[nodiscard]] base::Json values() const;
    /// Takes what is there; the others get their defaults.
    void setValues(const base::Json& values);
    /// Every setting, also those that mean nothing among the others now.
    [[nodiscard]] base::Json all() const;
    /// The settings that the user has edited since the form was made.
    [[nodiscard]] const std::set<std::string>& typed() const { return m_typed; }
    [[nodiscard]] bool valid() const;
    /// The first visible setting whose value does not hold, or nullptr.
    [[nodiscard]] SettingField* firstWrong() const;
    /// Opens the fold if the field is in it.
    void unfold(const SettingField* field);
    [[nodiscard]] SettingField* field(const QString& name) const;

    /// Shows what is wrong with each field by itself, and nothing that was said of it before.
    void check();

Q_SIGNALS:
    void edited();

private:
    void followDefaults();

    QVBoxLayout* m_column;
    QWidget* m_content = nullptr;
    QToolButton* m_fold = nullptr; ///< of the advanced settings
    std::vector<SettingField*> m_fields;
    std::set<std::string> m_typed;
};

} // namespace rankscope::workbench
