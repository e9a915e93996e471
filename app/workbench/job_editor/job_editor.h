// SPDX-License-Identifier: GPL-3.0-or-later
// The New run page: model, data, family, settings, training and device; the plan beside it.
#pragma once

#include "core/base/json.h"
#include "core/protocol/family_manifest.h"

#include <QTimer>
#include <QWidget>

#include <vector>

class QComboBox;
class QFormLayout;
class QLabel;
class QLineEdit;
class QVBoxLayout;

namespace rankscope::workbench
{

class EngineLink;
class FileListField;
class PlanPanel;
class SettingsForm;

class JobEditor : public QWidget
{
    Q_OBJECT

public:
    explicit JobEditor(EngineLink* engine, QWidget* parent = nullptr);

    /// The page comes to the front.
    void start();
    /// Takes a job file's text; relative paths start at `folder`.
    bool setJobText(const QString& json, const QString& folder);
    bool openJob(const QString& file);
    /// The job as it stands in the fields.
    [[nodiscard]] base::OrderedJson job() const;
    /// The first thing that is wrong, or nothing.
    [[nodiscard]] QString problem() const;
    void launch();
    /// Shows at its field, or beside the plan, why the engine refused the job.
    void showRefusal(const QString& message);

    [[nodiscard]] SettingsForm* familyForm() const { return m_familyForm; }
    [[nodiscard]] SettingsForm* trainingForm() const { return m_trainingForm; }
    [[nodiscard]] QComboBox* familyChoice() const { return m_family; }
    [[nodiscard]] QComboBox* modelField() const { return m_model; }
    [[nodiscard]] FileListField* trainFiles() const { return m_train; }
    [[nodiscard]] FileListField* testFiles() const { return m_test; }

Q_SIGNALS:
    void closeRequested();

protected:
    void keyPressEvent(QKeyEvent* event) override;

private:
    QWidget* makeForm();
    QVBoxLayout* addSection(QVBoxLayout* column, const QString& title);
    void makeModelSection(QVBoxLayout* column);
    void makeDataSection(QVBoxLayout* column);
    void makeFamilySection(QVBoxLayout* column);
    void chooseFamily(int index);
    void changed();
    void requestPlan();
    void showErrors();
    void saveJob();

    EngineLink* m_engine;
    std::vector<protocol::FamilyManifest> m_families;
    base::Json m_suggested = base::Json::object(); ///< training settings of the family that is chosen
    QLineEdit* m_name = nullptr;
    QComboBox* m_model = nullptr;
    QFormLayout* m_modelForm = nullptr;
    QLabel* m_modelError = nullptr;
    QComboBox* m_dtype = nullptr;
    FileListField* m_train = nullptr;
    FileListField* m_test = nullptr;
    SettingsForm* m_dataForm = nullptr;
    QComboBox* m_family = nullptr;
    QLabel* m_familyText = nullptr;
    SettingsForm* m_familyForm = nullptr;
    SettingsForm* m_trainingForm = nullptr;
    SettingsForm* m_evaluationForm = nullptr;
    SettingsForm* m_analysisForm = nullptr;
    QComboBox* m_device = nullptr;
    PlanPanel* m_plan = nullptr;
    QTimer m_planTimer;
    quint64 m_ticket = 0;
    bool m_launching = false;
};

} // namespace rankscope::workbench
